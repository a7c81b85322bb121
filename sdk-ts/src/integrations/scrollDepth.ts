import type {Integration} from '../types.js';

/**
 * Captures how far down each page view was seen, in percent of the height of the document, when the page is hidden or left or
 * another view begins: 100 for a page that fits. Only the document counts, not containers that scroll by themselves. Who
 * comes back and reads on adds another event: the depth of a page view is the largest of its events.
 */
export function scrollDepth(): Integration {
  return {
    name: 'scrollDepth',
    setup(client) {
      let bottom = 0;
      let height = 0;
      let captured = 0;

      const look = (): void => {
        const {scrollTop, clientHeight, scrollHeight} = document.scrollingElement ?? document.documentElement;
        bottom = Math.max(bottom, scrollTop + clientHeight);
        height = scrollHeight;
      };

      // Only when it scrolls and at the end: what is loaded late makes a document longer, and reading its height costs a layout.
      client.listen(document, 'scroll', look);
      client.onLeave((hidden) => {
        // Some routers have drawn the next view by now; a look that came before is the better one.
        if (hidden || !height) look();
        const value = Math.min(Math.round((bottom / height) * 100), 100);
        if (value > captured) {
          captured = value;
          client.capture({kind: 'scroll_depth', value});
        }
        if (!hidden) bottom = height = captured = 0;
      });
    },
  };
}
