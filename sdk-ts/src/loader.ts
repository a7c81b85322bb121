import type {InitOptions} from './init.js';

/** What the snippet in the page is given: the address of the script, and the options of `init`. */
export interface LoaderOptions extends InitOptions {
  src: string;
}

/**
 * What happened before the script arrived, and when, in milliseconds since the Unix epoch: a call of a function with its
 * arguments, or an event of the window.
 */
export type Early = [method: string | 0, what: any, time: number];

/** What stands in for `MonitorKit` until the script arrives; `adoptLoader` takes it over. */
export interface LoaderStub {
  /** What to start with: the options of the snippet, or those of the last `init`. */
  o: InitOptions;
  /** The first 100 things that happened. What is more is not kept: the script may never come. */
  q: Early[];
  /** The listener to `error` (of elements too) and `unhandledrejection`; it captures. */
  h: (event: Event) => void;
}

/**
 * The snippet for the head of a page: keeps what happens until the script has arrived, which does not hold up the page.
 * The build writes it to `dist/loader.js` as a function that is called with its options. It is shipped as it is, so it knows
 * nothing of other files and runs in every browser.
 *
 * Until the script has arrived the functions return nothing, no promise either; what is given to `withScope` runs afterwards.
 */
export function loader(options: LoaderOptions): void {
  var root: any = window;
  if (root.MonitorKit) return;
  var queue: Early[] = [];
  var keep = function (method: any, what: any): void {
    queue.length < 100 && queue.push([method, what, +new Date()]);
  };
  var stub: any = (root.MonitorKit = {
    o: options,
    q: queue,
    h: function (event: Event) {
      keep(0, event);
    },
    init: function (own: InitOptions) {
      stub.o = own;
    },
  });
  'captureException captureMessage track addBreadcrumb setUser setTag setContext withScope startView pause resume flush close'
    .split(' ')
    .forEach(function (method) {
      stub[method] = function () {
        keep(method, arguments);
      };
    });
  addEventListener('error', stub.h, true);
  addEventListener('unhandledrejection', stub.h, true);
  try {
    var script = document.createElement('script');
    var trusted = root.trustedTypes;
    script.crossOrigin = '';
    script.nonce = (document.currentScript || script).nonce;
    script.src = trusted
      ? trusted.createPolicy('monitor-kit', {createScriptURL: String}).createScriptURL(options.src)
      : options.src;
    document.head.appendChild(script);
  } catch (error) {
    // A policy of the page forbids it: it is not monitored, and works.
  }
}
