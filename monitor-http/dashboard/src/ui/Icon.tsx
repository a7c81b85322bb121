// Line icons on a 16 px grid, drawn with the text's colour.

const PATHS = {
  check: 'M3.5 8.5l3 3 6-7',
  warn: 'M8 2.2 14.5 13.5h-13zM8 6.5v3.2M8 11.6v.3',
  stop: 'M5.4 1.8h5.2l3.6 3.6v5.2l-3.6 3.6H5.4l-3.6-3.6V5.4zM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4',
  chevron: 'M4 6l4 4 4-4',
  left: 'M10 3.5 5.5 8l4.5 4.5',
  right: 'M6 3.5 10.5 8 6 12.5',
  table: 'M2 3h12v10H2zM2 6.5h12M2 10h12M6.5 6.5V13',
  chart: 'M2 2.5v11h12M4.8 10.5l2.6-3.4 2.3 1.8L13.4 4',
  sun: 'M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13.5 9.6A5.8 5.8 0 016.4 2.5a5.8 5.8 0 107.1 7.1z',
  auto: 'M8 2a6 6 0 100 12A6 6 0 008 2zM8 2v12',
  close: 'M4 4l8 8M12 4l-8 8',
  search: 'M7 2.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.4 10.4 14 14',
  pause: 'M5.5 3v10M10.5 3v10',
  play: 'M4.5 2.8v10.4L13 8z',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  filter: 'M2 3.5h12M4.5 8h7M6.5 12.5h3',
  up: 'M8 13V3.5M4 7.2l4-4 4 4',
  down: 'M8 3v9.5M4 8.8l4 4 4-4',
  info: 'M8 2a6 6 0 100 12A6 6 0 008 2zM8 7.3v3.6M8 5v.2',
  download: 'M8 2.5v7.5M4.8 7.2 8 10.4l3.2-3.2M2.8 13.3h10.4',
  bookmark: 'M4 2.5h8v11L8 10.4 4 13.5z',
  menu: 'M2.5 4h11M2.5 8h11M2.5 12h11',
  keyboard: 'M1.8 4h12.4v8H1.8zM4.3 6.6h.1M6.8 6.6h.1M9.3 6.6h.1M11.8 6.6h.1M4.8 9.5h6.4',
  plus: 'M8 3v10M3 8h10',
  trash: 'M3 4.5h10M6 4.5V2.8h4v1.7M4.3 4.5l.6 8.7h6.2l.6-8.7',
  compare: 'M2.5 11.5 6 7l2.5 2.5L13.5 3.5M2.5 13.8h11',
  globe: 'M8 2a6 6 0 100 12A6 6 0 008 2zM2 8h12M8 2c-4.3 4-4.3 8 0 12M8 2c4.3 4 4.3 8 0 12',
  leave: 'M6.5 2.5h-4v11h4M10 4.8 13.2 8 10 11.2M13 8H6',
  gauge: 'M2.2 11.5a6 6 0 1111.6 0M8 9.5l2.6-3.4',
  bug: 'M5.2 7.2a2.8 2.8 0 015.6 0v3a2.8 2.8 0 01-5.6 0zM6.2 4.6 5 2.8M9.8 4.6 11 2.8M5.2 8.6H2.4M13.6 8.6h-2.8M5.6 11.4l-2 2M10.4 11.4l2 2',
  swap: 'M2.5 5.5h10M9.5 2.5l3 3-3 3M13.5 11.5h-10M6.5 8.5l-3 3 3 3',
  cursor: 'M3 2.5l9.5 5-4.2 1.2-1.6 4.3z',
  people: 'M6 3a2.4 2.4 0 100 4.8A2.4 2.4 0 006 3zM1.8 13.2a4.2 4.2 0 018.4 0M10.6 3.4a2.2 2.2 0 010 4M11.8 9.6a4 4 0 012.4 3.6',
  pulse: 'M1.5 8.5h3l2-5 3 9 2-4h3',
  list: 'M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.1M2.5 8h.1M2.5 12h.1',
  server: 'M2.5 2.8h11v4.4h-11zM2.5 8.8h11v4.4h-11zM5 5h.1M5 11h.1',
  again: 'M13.2 2.6v3.2H10M12.9 5.6A5.4 5.4 0 1013.4 8.6',
  link: 'M6.5 3.5h-4v10h10v-4M9 2.5h4.5V7M13.2 2.8 7 9',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
