/** The nearest element that matches, itself included, like `Element.closest`, but on through the hosts of shadow roots. */
export function closest(element: Element | undefined, query: string): Element | undefined {
  return element && (element.closest(query) ?? closest((element.getRootNode() as Partial<ShadowRoot>).host, query));
}
