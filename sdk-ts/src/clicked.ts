import {closest} from './closest.js';

/** What a user means to click when they hit the icon inside of it. */
export const CLICKABLE = 'a,button,summary,[role=button],[role=link]';
/** Where users write, and where clicks do what no observer of the document sees: fields, media, drawings. */
export const CONTROL = 'input,select,option,textarea,label,video,audio,canvas,[contenteditable]';

/** The nearest element that takes clicks, else what was hit. Frameworks may make anew what is inside of it, at each click. */
export const meant = (hit: Element): Element => closest(hit, CLICKABLE + ',' + CONTROL) ?? hit;

/** What is not judged by how it is clicked: besides those, what the page exempts. */
export const EXEMPT = CONTROL + ',[data-monitor-rage=off]';

/** ms within which a click on a field is the echo of the click on its label. */
const ECHO = 100;

/** The control of the label that was clicked last, and when. */
let control: Element | null | undefined;
let at = 0;

/**
 * The element that was hit, also inside of an open shadow root, where `target` is only its host. Undefined for the second
 * click that a browser makes on the control of a label that was clicked: the user clicked once.
 */
export function clicked(event: Event): Element | undefined {
  const [hit] = event.composedPath() as Element[];
  // Scripts send clicks to the document, too.
  if (!hit!.closest || (hit === control && event.timeStamp - at < ECHO)) return;
  const label = closest(hit, 'label') as HTMLLabelElement | undefined;
  if (label?.control !== hit) {
    control = label?.control;
    at = event.timeStamp;
  }
  return hit;
}
