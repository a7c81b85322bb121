/** A table as CSV (RFC 4180), which a spreadsheet opens without running anything that came from an event. */
export function csvOf(header: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  return [header, ...rows].map((cells) => cells.map(cellOf).join(',')).join('\r\n') + '\r\n';
}

function cellOf(cell: string | number | null): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return String(cell);
  // Spreadsheets run what begins like a formula: https://owasp.org/www-community/attacks/CSV_Injection. Some read the full-width forms
  // like the plain ones, and some pass over blanks before them: the same rule as that of the service, in format.rs.
  const text = /^[ \u00a0\ufeff]*[=+\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Hands the viewer a file. */
export function download(name: string, contents: Blob): void {
  const url = URL.createObjectURL(contents);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken it over by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
