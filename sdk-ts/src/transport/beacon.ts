/**
 * Hands a body to the browser to send when it likes, also after the page is gone. False when the browser refused: its
 * quota is used up, or there is no such function. True says nothing about arrival, which is why this is the last resort.
 */
export function beacon(url: string, body: string): boolean {
  try {
    return navigator.sendBeacon(url, body);
  } catch {
    return false;
  }
}
