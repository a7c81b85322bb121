import {absoluteUrl} from '../absoluteUrl.js';
import {act} from '../act.js';
import {scrubUrl} from '../scrubUrl.js';
import type {Integration} from '../types.js';

/**
 * Captures forms that are sent: which one, how and where to, never what is in it. `form.submit()` called by a script fires no
 * event and is not seen, nor is a form inside of a shadow root.
 */
export function forms(): Integration {
  return {
    name: 'forms',
    setup(client) {
      client.listen(window, 'submit', ({target: form, submitter}: SubmitEvent & {target: Element}) => {
        // `form.action` would be the field of that name, if there is one.
        const of = (name: string): string | null | undefined => submitter?.getAttribute('form' + name) ?? form.getAttribute(name);
        act(client, form, {
          kind: 'form_submit',
          attributes: {method: (of('method') || 'get').toUpperCase()},
          data: {action: scrubUrl(absoluteUrl(of('action') ?? ''))},
        });
      });
    },
  };
}
