import {longest} from '../longest.js';
import {longestScripts} from '../longestScripts.js';
import {ms} from '../ms.js';
import {observe} from '../observe.js';
import type {Integration} from '../types.js';

/** Events per page view. */
const MAX_TASKS = 10;
/** What a task may take before others wait for it noticeably, in ms; see https://w3c.github.io/longtasks/ */
const LONG = 50;

type Task = PerformanceEntry & Partial<PerformanceLongAnimationFrameTiming>;

/**
 * Captures what blocked the page for 50 ms or more: long animation frames with the scripts that ran, or long tasks where the
 * browser does not know those. The ten longest of a page view are captured when the page is hidden or the view ends.
 */
export function longTasks(): Integration {
  return {
    name: 'longTasks',
    setup(client) {
      let tasks: Task[] = [];
      let left = MAX_TASKS;
      const onTask = (task: Task): void => {
        tasks = longest([...tasks, task], left);
      };
      const capture = (): void => {
        left -= tasks.length;
        for (const {entryType, duration, startTime, blockingDuration, scripts: all = []} of tasks.splice(0)) {
          const scripts = longestScripts(all);
          client.capture({
            kind: 'longtask',
            name: entryType,
            value: duration,
            attributes: {target: scripts[0]?.url as string},
            data: {start: ms(startTime), blocking_duration: ms(blockingDuration ?? duration - LONG), scripts},
          });
        }
      };
      const observation = observe(client, onTask, 'long-animation-frame') ?? observe(client, onTask, 'longtask');
      client.onLeave((hidden) => {
        capture();
        if (!hidden) left = MAX_TASKS;
      });
      return observation?._stop;
    },
  };
}
