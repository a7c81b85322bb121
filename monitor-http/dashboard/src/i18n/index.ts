// Two languages, chosen by the viewer. Each area has a file with its texts beside each other:
//
//   export const t = messages({ errors: ['{n} {n|error|errors}', '{n} 个错误'] });
//   t('errors', { n: 3 })
//
// `{n}` is put in (numbers as the language writes them), `{n|one|many}` chooses a word by the number.

import { signal } from '@preact/signals';

export type Language = 'en' | 'zh';
export const LANGUAGES: readonly { value: Language; label: string }[] = [{ value: 'en', label: 'English' }, { value: 'zh', label: '中文' }];

const KEY = 'monitor-kit.language';

export const language = signal<Language>(firstLanguage());

function firstLanguage(): Language {
  try {
    const stored = localStorage.getItem(KEY);
    if (stored === 'en' || stored === 'zh') return stored;
  } catch {
    // Without storage the browser's own language decides.
  }
  return typeof navigator !== 'undefined' && /^zh\b/i.test(navigator.language) ? 'zh' : 'en';
}

export function setLanguage(next: Language): void {
  language.value = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}

/** What `Intl` takes: the language of the interface, with the region whose habits it follows. */
export function locale(): string {
  return language.value === 'zh' ? 'zh-CN' : 'en-US';
}

export type Params = Readonly<Record<string, string | number>>;
type Texts = Readonly<Record<string, readonly [en: string, zh: string]>>;
export type Translate<T extends Texts> = (key: keyof T, params?: Params) => string;

/** The function that gives the texts of an area in the viewer's language; reading it in a component subscribes to the language. */
export function messages<const T extends Texts>(texts: T): Translate<T> {
  return (key, params) => fill(texts[key]![language.value === 'zh' ? 1 : 0], params);
}

const PLACE = /\{(\w+)(?:\|([^|{}]*)\|([^{}]*))?\}/g;

function fill(text: string, params: Params | undefined): string {
  if (!params) return text;
  return text.replace(PLACE, (whole, name: string, one?: string, many?: string) => {
    const value = params[name];
    if (value === undefined) return whole;
    if (one !== undefined) return Number(value) === 1 ? one : (many ?? '');
    return typeof value === 'number' ? numberText(value) : value;
  });
}

const formats = new Map<string, Intl.NumberFormat>();

function numberText(value: number): string {
  const name = locale();
  let format = formats.get(name);
  if (!format) formats.set(name, (format = new Intl.NumberFormat(name, { maximumFractionDigits: 2 })));
  return format.format(value);
}
