import {act} from '../act.js';
import {clicked, CLICKABLE, EXEMPT} from '../clicked.js';
import {closest} from '../closest.js';
import type {Integration} from '../types.js';

/** ms after which nothing is going to happen any more, as far as the user can tell. */
const PATIENCE = 2_500;
/** ms after which it looks for what may be over by then, an animation for instance. */
const GLANCE = 100;
/** ms that the glance may come late; then a dialog, or work, has held the page up. */
const LATE = 500;

/**
 * Captures clicks on what looks clickable that nothing answers within 2.5 s: no change of the document or of a field, no other page view, no
 * animation, dialog, scrolling, focus, selection or sending of a form, and no link that the browser follows by itself. A page that changes all
 * the time hides its dead clicks. Of several clicks only the last one is judged; fields and media are not, nor is what is
 * inside of `data-monitor-rage="off"`, which is for answers that only an ear or the clipboard notices.
 */
export function deadClicks(): Integration {
  return {
    name: 'deadClicks',
    setup(client) {
      /** What was seen at the press, until something changes. */
      let before: string | undefined;
      let timer: ReturnType<typeof setTimeout>;

      /**
       * What no observer tells: the state of fields, compared and never sent, and how many animations scripts have started; those of a style sheet
       * may be for the press alone.
       */
      const look = (): string =>
        [...document.querySelectorAll<HTMLInputElement>('input,select,textarea')].map(({value, checked}) => value + checked) +
        `${document.getAnimations?.().filter(({constructor}) => constructor === Animation).length}`;
      const end = (): void => {
        before = undefined;
        clearTimeout(timer);
        changes.disconnect();
      };
      // It watches from a press to the first change, so it costs nothing while nobody clicks.
      const changes = new MutationObserver(end);
      const judge = client.guard((hit: Element, event: Event, late?: number) => {
        const alive = look() !== before || performance.now() > late!;
        if (!alive && late) return (timer = setTimeout(judge, PATIENCE - GLANCE, hit, event));
        end();
        if (alive) return;
        const followed = closest(hit, 'a[href]:not([href^="javascript:"])') && !event.defaultPrevented;
        if (!followed && getSelection()?.type !== 'Range') act(client, hit, {kind: 'dead_click'});
      });

      // Menus often open when the pointer goes down; the click that follows has nothing left to do.
      client.listen(window, 'pointerdown', (event) => {
        end();
        for (const node of event.composedPath() as Node[]) {
          // The document, and the shadow roots on the way to it.
          if (node.nodeType > 8) changes.observe(node, {subtree: true, childList: true, attributes: true, characterData: true});
        }
        before = look();
      });
      client.listen(window, 'click', (event: MouseEvent) => {
        const hit = clicked(event);
        clearTimeout(timer);
        if (!before || !event.detail || !hit || closest(hit, EXEMPT)) return;
        if (closest(hit, CLICKABLE) || getComputedStyle(hit).cursor === 'pointer') timer = setTimeout(judge, GLANCE, hit, event, performance.now() + LATE);
      });
      // Focus that moves with the press comes before the click, and the timer.
      for (const type of ['scroll', 'focus', 'blur', 'submit', 'toggle']) client.listen(window, type, () => clearTimeout(timer));
      client.onLeave(end);
    },
  };
}
