// A page of the dashboard in a real browser: opened afresh, read as its viewer reads it, and looked at for what no page may have.
import assert from 'node:assert/strict';

/** Nobody waits so long for a page; a slow machine may. */
const PATIENCE = 120_000;

/** Opens an address of the dashboard in a context of its own and writes down what goes wrong on it; `close` says that nothing did. */
export async function open(browser, base, hash, { timezoneId = 'UTC' } = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, locale: 'en-US', timezoneId });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(`console: ${message.text()}`); });
  page.on('pageerror', (error) => problems.push(`exception: ${error.stack}`));
  page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); void dialog.dismiss(); });
  page.on('request', (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(`${base}/`)) problems.push(`request to somebody else: ${request.url()}`);
  });
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText;
    // By the page itself: an answer that it does not want any more, or when it goes away.
    if (reason !== 'net::ERR_ABORTED') problems.push(`failed request: ${request.url()} ${reason}`);
  });
  page.on('response', (response) => { if (response.status() >= 400) problems.push(`answer ${response.status()}: ${response.url()}`); });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile, lineNumber }) => {
      window.violations.push(`${violatedDirective}: ${blockedURI} ${sourceFile}:${lineNumber}`);
    });
  });
  await page.goto(`${base}/#/${hash}`);
  const close = async () => {
    const { title, headings, violations, nameless } = await page.evaluate(inspect);
    await context.close();
    assert.match(title, /\S.* · Monitor Kit$/, 'the title names the page');
    assert.equal(headings.length, 1, `one main heading: ${headings.join(', ')}`);
    assert.match(headings[0], /\S/);
    assert.deepEqual(violations, [], 'violations of the content security policy');
    assert.deepEqual(nameless, [], 'controls that a screen reader cannot name');
    assert.deepEqual(problems, []);
  };
  return { page, close };
}

/** Until all answers are there and drawn. */
export const settled = (page) => page.waitForFunction(() => document.querySelector('.loaded') && !document.querySelector('.skeleton, .stale, [aria-busy="true"]'));

/** Turns every chart into the table of its numbers. */
async function showTables(page) {
  const buttons = page.locator('.chart-card button[title="Show as table"]');
  for (let left = await buttons.count(); left > 0; left -= 1) await buttons.first().click();
}

/** Settled, with every chart as a table, and read. */
export async function view(page) {
  await settled(page);
  await showTables(page);
  return page.evaluate(readAll);
}

/**
 * Runs in the page. Everything that pages have in common, by its name: tiles, web vitals, tables, bars, facts.
 * A cell has its text, its hint, and where it leads.
 */
export function readAll() {
  const textOf = (element) => {
    if (!element) return null;
    const copy = element.cloneNode(true);
    // What only screen readers are told stands beside what is seen.
    for (const part of copy.querySelectorAll('.sr, svg, .tile-versus')) part.remove();
    const walker = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT);
    const parts = [];
    while (walker.nextNode()) parts.push(walker.currentNode.data);
    return parts.join(' ').replace(/\s+/g, ' ').trim();
  };
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const named = (pairs) => {
    const names = pairs.map(([name]) => name);
    if (new Set(names).size < names.length) throw new Error(`two of one name: ${names.join(', ')}`);
    return Object.fromEntries(pairs);
  };
  const cell = (element) => {
    const label = element.cloneNode(true);
    // Releases are marked beside the time.
    if (element.scope === 'row') for (const mark of label.querySelectorAll('.tag')) mark.remove();
    return { text: textOf(label), title: element.title || element.querySelector('[title]')?.title || '', href: element.querySelector('a')?.hash ?? null };
  };
  const titleOf = (card) => textOf(card.querySelector('.card-head :is(h1, h2)'));
  return {
    time: Date.now(),
    heading: textOf(document.querySelector('h1')),
    tiles: named(all('.tiles').map((tiles) => [tiles.getAttribute('aria-label'), named(all('.tile', tiles).map((tile) => [textOf(tile.querySelector('.tile-label')), {
      value: textOf(tile.querySelector('.tile-value')),
      change: textOf(tile.querySelector('.delta')),
      detail: all('.tile-detail > span:not(.delta)', tile).map(textOf).join(' '),
    }]))])),
    vitals: named(all('.vital').map((vital) => [textOf(vital.querySelector('.vital-name')), {
      value: textOf(vital.querySelector('.vital-number')),
      change: textOf(vital.querySelector('.delta')),
      band: textOf(vital.querySelector('.vital-band')),
      shares: all('.share', vital).map(textOf),
      samples: textOf(vital.querySelector('.vital-samples')),
    }])),
    tables: named(all('table').map((table) => [table.caption.textContent, {
      head: all('thead th', table).map(textOf),
      rows: all('tbody tr', table).map((row) => [...row.cells].map(cell)),
      foot: textOf(table.closest('.card')?.querySelector('.table-foot > span, .foot')),
    }])),
    bars: named(all('.card:has(.bars)').map((card) => [titleOf(card), all('.bars > li:not(.bars-more)', card).map((bar) => ({
      label: textOf(bar.querySelector('.clip')), text: textOf(bar.querySelector('.bar-count')), more: textOf(card.querySelector('.bars-more')),
    }))])),
    facts: named(all('.facts > div').map((fact) => [textOf(fact.querySelector('dt')), {
      ...cell(fact.querySelector('dd')), more: textOf(fact.querySelector('.fact-more')), first: textOf(fact.querySelector('dd > :first-child')),
    }])),
  };
}

/** Runs in the page. What is asked of every page, whatever it shows. */
function inspect() {
  // Text that is hidden from screen readers names nothing, nor do the values of a field.
  const spoken = (element) => {
    if (element.nodeType === Node.TEXT_NODE) return element.data;
    if (element.nodeType !== Node.ELEMENT_NODE || element.getAttribute('aria-hidden') === 'true') return '';
    return element.getAttribute('aria-label') ?? element.getAttribute('alt') ?? [...element.childNodes].map(spoken).join('');
  };
  const labelsOf = (field) => [...field.labels ?? []].map((label) => [...label.childNodes].filter((part) => part !== field).map(spoken).join('')).join('');
  const nameOf = (element) => {
    const by = (element.getAttribute('aria-labelledby') ?? '').split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? '').join('');
    const own = element.matches('input, select, textarea') ? labelsOf(element) : element.matches('[role="img"], [role="region"]') ? '' : spoken(element);
    return [by, element.getAttribute('aria-label') ?? '', own, element.getAttribute('title') ?? ''].find((name) => name.trim() !== '');
  };
  const controls = document.querySelectorAll('button, a[href], input:not([type="hidden"]), select, textarea, summary, [role="button"], [role="img"], [role="region"]');
  return {
    title: document.title,
    headings: [...document.querySelectorAll('h1')].map((heading) => heading.textContent),
    violations: window.violations,
    nameless: [...controls].filter((element) => nameOf(element) === undefined).map((element) => element.outerHTML.slice(0, 160)),
  };
}
