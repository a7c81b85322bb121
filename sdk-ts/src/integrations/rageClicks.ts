import {act} from '../act.js';
import {clicked, EXEMPT, meant} from '../clicked.js';
import {closest} from '../closest.js';
import type {Integration} from '../types.js';

/** ms after which the next click is no longer one of a series. */
const PAUSE = 500;
/** Distance to the click before, in CSS pixels, that is still the same spot. */
const RADIUS = 30;

/**
 * Captures three or more clicks on the same spot of the same element, each within half a second of the one before, once, when the
 * series is over; the value is how many there were. Not on fields and media, nor inside of `data-monitor-rage="off"`, which is
 * for what is meant to be clicked quickly, like "one more"; not three clicks that select a paragraph; not what keys and scripts click.
 */
export function rageClicks(): Integration {
  return {
    name: 'rageClicks',
    setup(client) {
      let last: MouseEvent;
      let element: Element | undefined;
      let value = 0;
      let timer: ReturnType<typeof setTimeout>;

      const finish = client.guard(() => {
        clearTimeout(timer);
        if (value > 3 || (value === 3 && getSelection()?.type !== 'Range')) act(client, element!, {kind: 'rage_click', value});
        value = 0;
      });

      client.listen(window, 'click', (event: MouseEvent) => {
        const hit = clicked(event);
        if (!event.detail || !hit) return;
        const target = meant(hit);
        if (target !== element || Math.hypot(event.clientX - last.clientX, event.clientY - last.clientY) > RADIUS) finish();
        if (closest(hit, EXEMPT)) return;
        element = target;
        last = event;
        value++;
        clearTimeout(timer);
        timer = setTimeout(finish, PAUSE);
      });
      client.onLeave(finish);
    },
  };
}
