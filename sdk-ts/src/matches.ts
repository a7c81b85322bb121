/** Texts that are contained, or patterns. */
export type Rules = (string | RegExp)[];

/** Whether one of the rules matches. Patterns with `g` or `y` do not remember where they were. */
export function matches(rules: Rules, value: string): boolean {
  // Whatever a rule matches, be it nothing at all, becomes a character that no address and no message has.
  return rules.some((rule) => value.replace(rule, '\0') !== value);
}
