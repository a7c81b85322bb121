/** The address as the browser would request it; one that is not valid stays as it is written. */
export function absoluteUrl(url: string): string {
  try {
    return new URL(url, document.baseURI).href;
  } catch {
    return url;
  }
}
