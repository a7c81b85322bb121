import type {Integration} from '../types.js';

/** What `blankScreen` takes. */
export interface BlankScreenOptions {
  /** Selector of the element that holds the page and shows nothing itself; `body` when left out. */
  root?: string;
  /** Milliseconds from one look at the page to the next; 5,000 when left out. */
  after?: number;
}

/**
 * Captures pages that, some seconds after they were loaded or changed, show nothing along the middle of the viewport but what
 * holds them, and no text. A slow page is looked at twice.
 */
export function blankScreen({root = 'body', after = 5_000}: BlankScreenOptions = {}): Integration {
  return {
    name: 'blankScreen',
    setup(client) {
      let timer: ReturnType<typeof setTimeout>;

      function start(isSecond = false): void {
        clearTimeout(timer);
        timer = setTimeout(client.guard(look), after, isSecond);
      }

      function look(isSecond: boolean): void {
        // What nobody sees may be blank: a page in the background, a frame without size.
        if (document.readyState !== 'complete' || document.hidden || !(innerWidth * innerHeight)) return start();
        for (let percent = 10; percent < 100; percent += 10) {
          if (!isEmpty(percent, 50) || !isEmpty(50, percent)) return;
        }
        if (document.querySelector<HTMLElement>(root)?.innerText.trim()) return;
        if (!isSecond) return start(true);
        client.capture({
          kind: 'blank_screen',
          value: Math.round(performance.now()),
          data: {viewport: `${innerWidth}x${innerHeight}`},
        });
      }

      function isEmpty(x: number, y: number): boolean {
        return document.elementFromPoint((innerWidth * x) / 100, (innerHeight * y) / 100)?.matches(`html,body,${root}`) ?? true;
      }

      start();
      client.onLeave((hidden) => hidden || start());
      return () => clearTimeout(timer);
    },
  };
}
