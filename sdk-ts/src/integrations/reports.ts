import {bareUrl} from '../bareUrl.js';
import {fold} from '../fold.js';
import {scrubUrl} from '../scrubUrl.js';
import type {Integration} from '../types.js';

/** What events of violations and the bodies of reports have in common, as far as they have it. */
interface Body {
  message?: string;
  documentURI?: string;
  sourceFile?: string | null;
  lineNumber?: number | null;
  columnNumber?: number | null;
  disposition?: string;
  sample?: string;
}

/** Captures what the browser reports about the page: violations of its Content Security Policy, deprecations, interventions. */
export function reports(): Integration {
  return {
    name: 'reports',
    setup(client) {
      fold(client, 'csp');
      fold(client, 'report');

      function capture(kind: string, name: string, body: Body, target?: string): void {
        client.capture({
          kind,
          name,
          attributes: {target},
          data: {
            message: body.message,
            document_url: body.documentURI && scrubUrl(body.documentURI),
            source: body.sourceFile && scrubUrl(body.sourceFile),
            line: body.lineNumber,
            column: body.columnNumber,
            disposition: body.disposition,
            sample: body.sample,
          },
        });
      }

      // All browsers have this event; only some tell observers of violations, too.
      client.listen(document, 'securitypolicyviolation', (event: SecurityPolicyViolationEvent) => {
        const {blockedURI, effectiveDirective} = event;
        // Or a word: `inline`, `eval`, `data`.
        const target = /:/.test(blockedURI) ? bareUrl(blockedURI) : blockedURI;
        // That the receiver must not be told anything is nothing to tell it.
        if (!target || !client.endpoint.startsWith(target)) capture('csp', effectiveDirective, event, target);
      });

      if (typeof ReportingObserver !== 'function') return;
      const onReports = client.guard((list: Report[]) => {
        for (const {type = '', body} of list) if (type !== 'csp-violation') capture('report', type, body ?? {});
      });
      const observer = new ReportingObserver(onReports, {buffered: true});
      observer.observe();
      return () => observer.disconnect();
    },
  };
}
