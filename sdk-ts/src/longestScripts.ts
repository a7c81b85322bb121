import {bareUrl} from './bareUrl.js';
import {longest} from './longest.js';
import {ms} from './ms.js';
import {scrubUrl} from './scrubUrl.js';
import type {Properties} from './types.js';

/** Scripts named per frame. */
const MAX_SCRIPTS = 3;

/** What ran longest in a long animation frame, the longest first; durations in ms. */
export function longestScripts(scripts: readonly PerformanceScriptTiming[]): Properties[] {
  return longest(scripts, MAX_SCRIPTS).map(({sourceURL, sourceFunctionName, duration, invoker}) => ({
    url: sourceURL && bareUrl(sourceURL),
    function: sourceFunctionName,
    duration: ms(duration),
    // The element and its handler (`BUTTON#buy.onclick`), or the address of the script.
    invoker: scrubUrl(invoker),
  }));
}
