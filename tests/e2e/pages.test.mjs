// Every page of the dashboard, in a real browser, over generated traffic: the figures on the screen are what the query API answers to questions of
// this file's own. They are written out here, so that a wrong question of the dashboard is noticed.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Comparison } from './comparison.mjs';
import { clock, read, says, saysChange } from './figures.mjs';
import { by, filter, grouped, inOrder, named, questions, scopeOf, sum, without } from './questions.mjs';
import { open, readAll, settled, view } from './screen.mjs';
import { startBrowser, startService } from './service.mjs';

const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Half an hour beside the hours of UTC, and without summer time: steps of hours and days must be those of the viewer. */
const TIME_ZONE = 'Asia/Kolkata';
const zone = 5.5 * HOUR;
const written = clock(TIME_ZONE);
const HOURLY = { step: HOUR, zone, label: written.hour };
const DAILY = { step: DAY, zone, label: written.weekday };

/** The traffic ends before the hour that has begun. There is so little of it that all answers are exact. */
const TRAFFIC = { events: 400_000, days: 23, until: Math.floor(Date.now() / HOUR) * HOUR };
const midnight = (Math.floor(TRAFFIC.until / DAY) - TRAFFIC.days) * DAY;
/** Two days in which a release breaks the checkout and another one mends it, and the two days before. */
const RANGE = { from: midnight + 13 * DAY, to: midnight + 15 * DAY };
const BEFORE = { from: midnight + 11 * DAY, to: midnight + 13 * DAY };
/** Long enough for steps of days; of the weeks before there is only one day. */
const WEEKS = { from: midnight + DAY, to: midnight + 23 * DAY };
const WEEKS_BEFORE = { from: midnight - 21 * DAY, to: midnight + DAY };
const EVER = { from: midnight - DAY, to: TRAFFIC.until + DAY };

/** Up to which values are good and above which they are poor (https://web.dev/articles/vitals). */
const VITALS = { LCP: [2_500, 4_000], INP: [200, 500], CLS: [0.1, 0.25], FCP: [1_800, 3_000], TTFB: [800, 1_800] };
const unitOf = (vital) => (vital === 'CLS' ? 'score' : 'duration');
const DURATIONS = ['p50', 'p75', 'p95'];
const FAILURES = { http: 'HTTP status', network: 'network', business: 'business code', abort: 'aborted', timeout: 'timeout' };

let service;
let browser;
const { tableOf, rowsOf, figuresOf, countOf, courseOf, eventsOf } = questions((path, question) => service.ask(path, question));

/** The steps of a range, the first of which may begin before it. */
function stepsOf({ from, to }, { step, zone: ahead, label }) {
  const first = Math.floor((from + ahead) / step) * step - ahead;
  return Array.from({ length: Math.ceil((to - first) / step) }, (_, index) => first + index * step).map((time) => ({ time, label: label(time) }));
}

function addressOf(page, range, params = {}) {
  const members = Object.entries({ project: 'shop', ...range, ...params }).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));
  return `${page}?${new URLSearchParams(members)}`;
}

/** Opens a page, compares what it shows, and fails with all that is wrong on it. */
async function shown(context, address, compare, { timeZone = TIME_ZONE, ready = view } = {}) {
  const { page, close } = await open(browser, service.base, address, { timezoneId: timeZone });
  const check = new Comparison();
  await compare(check, await ready(page), page);
  await close();
  context.diagnostic(`${check.end()} comparisons`);
}

/** Asks again until the answer is as it should be. */
async function eventually(ask, holds) {
  const deadline = Date.now() + 120 * SECOND;
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    assert.ok(Date.now() < deadline, `it stays ${JSON.stringify(answer).slice(0, 500)}`);
    await new Promise((wait) => setTimeout(wait, 100));
  }
}

// What the columns of a list are made of.
const count = (column) => (row) => [row[column] ?? 0, 'count'];
const duration = (column) => (row) => [row[column], 'duration'];
const share = (part, whole) => (row) => [row[part] / row[whole], 'share'];
const durations = Object.fromEntries(DURATIONS.map((measure) => [measure, duration(measure)]));
const firstText = ([first]) => first.text;
/** Runs in the page: the texts of the parts of each element. */
const partsOf = (elements, parts) => elements.map((element) => parts.map((part) => element.querySelector(part)?.textContent ?? null));
const textsOf = (table) => table?.rows.map((cells) => cells.map((cell) => cell.text));

test('a figure is compared as exactly as it is written', () => {
  const figures = {
    count: [['1,204', 1_204, [1_203, 1_205]], ['1.23M', 1_230_000, [1_224_000, 1_236_000]], ['0', 0, [1]]],
    share: [['0%', 0, [0.0004]], ['<0.1%', 0.0004, [0, 0.002]], ['2.8%', 0.0277, [0.0273, 0.0286]], ['14%', 0.143, [0.134, 0.146]], ['>99%', 0.998, [0.99, 1]]],
    duration: [
      ['231 ms', 231.3, [230.4, 231.6]], ['2.31 s', 2_312, [2_304, 2_316]], ['3 min 05 s', 185_200, [184_400, 185_600]],
      ['1 h 05 min', 3_950_000, [3_899_000, 3_961_000]],
    ],
    score: [['0.063', 0.0634, [0.0624, 0.0636]]],
    bytes: [['1.4 MiB', 1_450_000, [1_400_000, 1_530_000]]],
  };
  for (const [unit, examples] of Object.entries(figures)) {
    for (const [said, value, others] of examples) {
      assert.ok(says(said, value, unit), `${said} is ${value}`);
      for (const other of [...others, null]) assert.ok(!says(said, other, unit), `${said} is not ${other}`);
    }
  }
  assert.ok(says('–', null, 'count') && !says('–', 0, 'count') && !says('2 s', 2_000, 'duration'));
  assert.ok(saysChange('+12%', 112, 100) && !saysChange('+12%', 114, 100) && !saysChange('−12%', 112, 100) && !saysChange('+12%', 112, 0));
  assert.ok(saysChange('2.4×', 24, 10) && !saysChange('2.4×', 26, 10) && saysChange('±0%', 1_001, 1_000) && !saysChange('±0%', 1_010, 1_000));
  assert.ok(saysChange(null, 5, 0) && !saysChange(null, 5, 1));
});

describe('every page shows what the query API answers', { skip: process.env.MONITOR_SCREENSHOT ? 'only the picture is asked for' : false }, () => {
  before(async () => {
    service = await startService({ traffic: TRAFFIC });
    browser = await startBrowser();
  });

  after(async () => {
    await browser?.close();
    await service?.stop();
  });

  /** The strip of web vitals, with the period before. */
  async function vitalStrip(check, screen, now, then) {
    for (const [name, [good, poor]] of Object.entries(VITALS)) {
      const question = { kinds: ['vital'], filters: [filter('name', name)], measures: ['count', 'p75', 'good', 'needs_improvement', 'poor'] };
      const [figures, past] = await Promise.all([figuresOf(now, question), figuresOf(then, question)]);
      const vital = screen.vitals[name];
      check.figure(vital?.value, figures.p75, unitOf(name), `p75 of ${name}`);
      check.change(vital?.change, figures.p75, past.p75, `p75 of ${name} against before`);
      check.same(vital?.band, figures.p75 <= good ? 'Good' : figures.p75 <= poor ? 'Needs improvement' : 'Poor', `band of ${name}`);
      bands(check, vital?.shares, figures, name);
      check.sentence(vital?.samples, /^(.*) samples · p75$/, `samples of ${name}`, [figures.count, 'count']);
    }
  }

  function bands(check, shares, { good, needs_improvement: between, poor, count: all }, what) {
    [good, between, poor].forEach((part, index) => check.figure(shares?.[index], part / all, 'share', `band ${index + 1} of ${what}`));
  }

  for (const [what, range, past, steps, filters] of [
    ['two days', RANGE, BEFORE, HOURLY, {}], ['two days of phones', RANGE, BEFORE, HOURLY, { device: 'mobile' }], ['three weeks', WEEKS, WEEKS_BEFORE, DAILY, {}],
  ]) {
    test(`overview of ${what}`, (context) => shown(context, addressOf('overview', range, filters), async (check, screen, page) => {
      const [now, then] = [scopeOf(range, filters), scopeOf(past, filters)];
      const totalsOf = async (scope) => ({
        ...await figuresOf(scope, { measures: ['visitors', 'sessions'] }),
        views: await countOf(scope, 'page_view'), errors: await countOf(scope, 'error'), requests: await countOf(scope, 'request'),
        failures: (await figuresOf(scope, { kinds: ['request'], measures: ['failures'] })).failures,
      });
      const [one, other] = await Promise.all([totalsOf(now), totalsOf(then)]);
      const tiles = screen.tiles['Totals of the range'];
      check.tile(tiles, 'Visitors', 'count', { value: one.visitors, before: other.visitors });
      check.tile(tiles, 'Sessions', 'count', { value: one.sessions, before: other.sessions });
      check.tile(tiles, 'Page views', 'count', { value: one.views, before: other.views });
      check.tile(tiles, 'Errors per page view', 'share', {
        value: one.errors / one.views, before: other.errors / other.views, detail: [/^(.*) errors$/, [one.errors, 'count']],
      });
      check.tile(tiles, 'Failed requests', 'share', {
        value: one.failures / one.requests, before: other.failures / other.requests, detail: [/^(.*) of (.*)$/, [one.failures, 'count'], [one.requests, 'count']],
      });
      await vitalStrip(check, screen, now, then);

      const course = (question, measure, scope = now) => courseOf(scope, steps, question, measure);
      const [views, errors, requests] = await Promise.all(['page_view', 'error', 'request'].map((kind) => course({ kinds: [kind] }, 'count')));
      const viewsBefore = new Map([...await course({ kinds: ['page_view'] }, 'count', then)].map(([time, value]) => [time + range.from - past.from, value]));
      const times = stepsOf(range, steps);
      check.chart(screen.tables, 'Page views and errors', times, {
        'Page views': ['count', views], 'Page views before': ['count', viewsBefore], Errors: ['count', errors],
      });
      check.chart(screen.tables, 'Visitors and sessions', times, {
        Visitors: ['count', await course({}, 'visitors')], Sessions: ['count', await course({}, 'sessions')],
      });
      const lcp = { kinds: ['vital'], filters: [filter('name', 'LCP')] };
      check.chart(screen.tables, 'LCP, 75th percentile', times, {
        'LCP p75': ['duration', await course(lcp, 'p75'), null], Samples: ['count', await course(lcp, 'count')],
      });
      const failures = await course({ kinds: ['request'] }, 'failures');
      const fine = new Map([...requests].map(([time, value]) => [time, value - (failures.get(time) ?? 0)]));
      check.chart(screen.tables, 'Requests and failures', times, { Failed: ['count', failures], Fine: ['count', fine] });

      // The choices of a filter are those of all visitors.
      await page.getByRole('button', { name: /^Device/ }).click();
      await page.locator('.popover-panel .option').first().waitFor();
      const options = await page.locator('.popover-panel .option').evaluateAll(partsOf, ['.option-text', '.option-count']);
      const devices = await rowsOf(scopeOf(range), { kinds: ['page_view'], group_by: ['device'], measures: ['count'] });
      check.same(options.map(([name]) => name), devices.toSorted((a, b) => b.count - a.count).map(({ device }) => device), 'devices to choose');
      options.forEach(([name, n]) => check.figure(n, by(devices, 'device').get(name)?.count, 'count', `page views of ${name}`));

      await page.getByRole('button', { name: 'How this was answered' }).first().click();
      const answered = Object.fromEntries(await page.locator('.answered > div').evaluateAll(partsOf, ['dt', 'dd']));
      check.same([answered.Sample, answered['Error to expect']], ['all visitors', 'exact'], 'how it was answered');
    }));
  }

  /** Bars are made of bins whose edges are others: what is below an edge is known but for the bin that it lies in. */
  function histogram(check, table, name, figures) {
    check.same(table?.head, ['From', 'To', 'Rating', 'Count', 'Share'], 'spread, columns');
    const unit = unitOf(name);
    const [good, poor] = VITALS[name];
    const bins = figures.histogram;
    const counted = (which) => sum(bins.filter(which).map(([, , n]) => n));
    check.same(counted(() => true), figures.count, 'samples in the histogram');
    const rows = textsOf(table) ?? [];
    let total = 0;
    rows.forEach(([from, to, rating, said, part], index) => {
      const what = `${name}, bar from ${from} to ${to}`;
      const n = Number(said.replaceAll(',', ''));
      total += n;
      if (index > 0) check.same(from, rows[index - 1][1], `${what}, begins where the one before ends`);
      const [first, last] = to === '∞' ? [Infinity, Infinity] : read(to, unit);
      const [least, most] = [counted(([, upper]) => upper <= first), counted(([lower]) => lower < last)];
      // Each bar is rounded for itself.
      const slack = (index + 1) / 2;
      check.true(least - slack <= total && total <= most + slack, `${what}: ${total} values up to there instead of ${least} to ${most}`);
      const [low, high] = read(part, 'share').map((edge) => edge * figures.count);
      check.true(low - 0.5 <= n && n <= high + 0.5, `${what}: ${part} are not ${n} of ${figures.count}`);
      const [, begin] = read(from, unit);
      check.same(rating, begin <= good ? 'Good' : begin <= poor ? 'Needs improvement' : 'Poor', `${what}, rating`);
    });
    check.true(rows.length >= 20, `only ${rows.length} bars`);
    check.true(Math.abs(total - figures.count) <= rows.length / 2, `${total} values in all bars instead of ${figures.count}`);
  }

  /** The parts of the latest two hundred loads, one after the other; they are means, so that they add up. */
  async function loads(check, page, now) {
    const all = await figuresOf(now, { kinds: ['navigation'], measures: ['count', ...DURATIONS] });
    check.sentence(
      await page.locator('.load-totals').innerText(), /^Load: median (.*), 75th percentile (.*), 95th percentile (.*)$/, 'duration of loads',
      ...DURATIONS.map((measure) => [all[measure], 'duration']),
    );
    const latest = (await eventsOf(now, { kinds: ['navigation'] }, 200)).map(({ data }) => data);
    const mean = (key) => sum(latest.map((data) => data[key])) / latest.length;
    const parts = {
      DNS: mean('dns'), TCP: mean('tcp'), TLS: mean('tls'), 'Waiting for the server': mean('request'), 'Download of the document': mean('response'),
    };
    let end = sum(Object.values(parts));
    for (const [label, moment] of [['DOM until interactive', 'dom_interactive'], ['Resources until complete', 'dom_complete'], ['Load event', 'load']]) {
      parts[label] = Math.max(0, mean(moment) - end);
      end += parts[label];
    }
    const rows = await page.locator('.waterfall-row[role="row"]').evaluateAll((found) => found.map((row) => [
      row.querySelector('.waterfall-label').textContent, row.querySelector('.waterfall-value').lastChild.textContent,
    ]));
    check.same(rows.map(([label]) => label), Object.keys(parts), 'parts of a load');
    for (const [label, said] of rows) check.figure(said, parts[label], 'duration', label);
    const note = await page.locator('.card', { has: page.locator('.waterfall') }).locator('.foot').innerText();
    const reused = latest.filter(({ dns, tcp }) => dns === 0 && tcp === 0).length / latest.length;
    check.sentence(
      note, /^Mean of the latest (.*) loads with a visible page, out of (.*) in this range\. (.*) of them/, 'loads',
      [latest.length, 'count'], [all.count, 'count'], [reused, 'share'],
    );
  }

  for (const [name, field, title, filters] of [['LCP', 'browser', 'Browser', {}], ['CLS', 'country', 'Country', { browser: 'Chrome' }]]) {
    const address = addressOf('performance', RANGE, { ...filters, vital: name, by: field });
    test(`performance: ${name} by ${field}`, (context) => shown(context, address, async (check, screen, page) => {
      const unit = unitOf(name);
      const now = scopeOf(RANGE, filters);
      const vital = { kinds: ['vital'], filters: [filter('name', name)] };
      await vitalStrip(check, screen, now, scopeOf(BEFORE, filters));
      const [p50, p75, p95, samples] = await Promise.all([...DURATIONS, 'count'].map((measure) => courseOf(now, HOURLY, vital, measure)));
      check.chart(screen.tables, `${name}: median, 75th and 95th percentile`, stepsOf(RANGE, HOURLY), {
        Median: [unit, p50, null], '75th percentile': [unit, p75, null], '95th percentile': [unit, p95, null], Samples: ['count', samples],
      });
      histogram(check, screen.tables[`${name}: how the values spread`], name, await figuresOf(now, { ...vital, measures: ['count', 'histogram'] }));

      const groups = await rowsOf(now, { ...vital, group_by: [field], measures: ['count', 'p75', 'good', 'needs_improvement', 'poor'] });
      check.list(screen.tables[`${name} by ${field}`], `by ${field}`, {
        wanted: by(groups, field), key: firstText, order: (row) => row.count, most: 12,
        columns: {
          [title]: null, p75: (row) => [row.p75, unit], Bands: (row, cells) => bands(check, cells[2].text.split(' '), row, cells[0].text), Samples: count('count'),
        },
      });

      const names = Object.keys(VITALS);
      const ofRoutes = await rowsOf(now, { kinds: ['vital'], filters: [filter('name', ...names)], group_by: ['route', 'name'], measures: ['count', 'p75', 'poor'] });
      const poor = await rowsOf(now, { ...vital, filters: [...vital.filters, filter('rating', 'poor')], group_by: ['route', 'target'], measures: ['count'] });
      const targets = grouped(poor.filter(({ target }) => target !== '').sort((a, b) => b.count - a.count), ({ route }) => route);
      const routes = new Map([...grouped(ofRoutes, ({ route }) => route)].map(([route, vitals]) => {
        const own = by(vitals, 'name');
        return [route, { count: 0, ...own.get(name), p75: (each) => own.get(each)?.p75, targets: targets.get(route) ?? [] }];
      }));
      check.list(screen.tables.Routes, 'routes', {
        wanted: routes, key: firstText, order: (row) => row.count, most: 25,
        columns: {
          Route: null, Samples: count('count'), ...Object.fromEntries(names.map((each) => [each, (row) => [row.p75(each), unitOf(each)]])),
          [`Poor ${name}`]: (row) => [row.count ? row.poor / row.count : null, 'share'],
          [`Most frequent in poor ${name}`]: (row, cells) => {
            // Any of those that are as frequent as the most frequent.
            const most = row.targets.filter((one) => one.count === row.targets[0].count).map((one) => `${one.target} ${one.count}`);
            return most.find((one) => one === cells.at(-1).text) ?? most[0] ?? '';
          },
        },
      });
      check.sentence(screen.tables.Routes?.foot, /^(.*) routes,/, 'number of routes', [routes.size, 'count']);
      await loads(check, page, now);
    }));
  }

  /** Issues by fingerprint, with what of them is known of all times. */
  async function issuesOf(scope) {
    const kinds = ['error', 'message'];
    const times = ['first_seen', 'last_seen'];
    const [found, ever, releases] = await Promise.all([
      rowsOf(scope, { kinds, group_by: ['fingerprint', 'kind'], measures: ['count', 'visitors', 'sessions', 'any_name', 'any_message'] }),
      rowsOf(scopeOf(EVER), { kinds, group_by: ['fingerprint'], measures: times }),
      rowsOf(scopeOf(EVER), { kinds, group_by: ['fingerprint', 'release'], measures: times }),
    ]);
    const known = by(ever, 'fingerprint');
    // Messages have no fingerprint, unless their sender gave them one.
    return by(found.filter(({ fingerprint }) => fingerprint !== '').map((row) => {
      const { first_seen: first, last_seen: last } = known.get(row.fingerprint);
      const releaseAt = (column, time) => releases.find((one) => one.fingerprint === row.fingerprint && one[column] === time)?.release;
      return { ...row, first, last, releases: [releaseAt('first_seen', first), releaseAt('last_seen', last)] };
    }), 'fingerprint');
  }

  for (const [what, filters, order, orderOf] of [
    ['', {}, 'count', (row) => row.count], [' of one country, by their users', { country: 'DE' }, 'users', (row) => row.visitors],
  ]) {
    test(`errors${what}`, (context) => shown(context, addressOf('errors', RANGE, { ...filters, sort: order }), async (check, screen) => {
      const now = scopeOf(RANGE, filters);
      const [errors, messages] = await Promise.all(['error', 'message'].map((kind) => courseOf(now, HOURLY, { kinds: [kind] }, 'count')));
      check.chart(screen.tables, 'Errors and messages', stepsOf(RANGE, HOURLY), {
        Errors: ['count', errors], ...(messages.size > 0 && { Messages: ['count', messages] }),
      });
      const issues = await issuesOf(now);
      const table = screen.tables['Issues: errors and messages by what is the same about them'];
      const seen = (column, place) => (row, cells) => {
        check.same(cells[place].title, written.whole(row[column]), `${column} time of ${row.any_message}`);
        return [screen.time - row[column], 'age'];
      };
      check.list(table, 'issues', {
        wanted: issues, key: (cells) => /^#\/errors\/([0-9a-f]+)\?/.exec(cells[1].href)?.[1], order: orderOf, most: 100,
        columns: {
          '': null, Issue: (row) => `${row.any_name}${row.kind === 'message' ? ' message' : ''} ${row.any_message}`, Trend: null,
          Events: count('count'), Users: count('visitors'), 'Last seen': seen('last', 5), 'First seen': seen('first', 6),
          Releases: (row) => [...new Set(row.releases)].join(' → '),
        },
      });
      check.sentence(table?.foot, /^(.*) issues\./, 'number of issues', [issues.size, 'count']);
    }));
  }

  test('one issue', async (context) => {
    const now = scopeOf(RANGE);
    const issue = [...(await issuesOf(now)).values()].reduce((most, row) => (row.count > most.count ? row : most));
    const own = { kinds: ['error', 'message'], filters: [filter('fingerprint', issue.fingerprint)] };
    const ready = async (page) => {
      // What it is broken down by is known when its events are there.
      await page.getByRole('heading', { name: 'Tag', exact: true }).waitFor();
      return view(page);
    };
    await shown(context, addressOf(`errors/${issue.fingerprint}`, RANGE), async (check, screen, page) => {
      check.same([screen.heading, await page.locator('.detail-message').innerText()], [issue.any_name, issue.any_message], 'name and message');
      const { facts } = screen;
      const counts = { Events: issue.count, Users: issue.visitors, Sessions: issue.sessions };
      for (const [label, value] of Object.entries(counts)) check.figure(facts[label]?.text, value, 'count', label);
      for (const [label, time, release] of [['First seen', issue.first, issue.releases[0]], ['Last seen', issue.last, issue.releases[1]]]) {
        check.same([facts[label]?.title, facts[label]?.more], [written.whole(time), release], label);
        check.figure(facts[label]?.first, screen.time - time, 'age', label);
      }
      check.chart(screen.tables, 'Events over time', stepsOf(RANGE, HOURLY), { Events: ['count', await courseOf(now, HOURLY, own, 'count')] });
      const fields = { Browser: 'browser', System: 'os', Device: 'device', Route: 'route', Release: 'release', Country: 'country', Tag: 'tags.experiment' };
      for (const [title, field] of Object.entries(fields)) {
        const groups = await rowsOf(now, { ...own, group_by: [field], measures: ['count'] });
        check.bars(screen.bars[title], title, new Map(groups.map((row) => [row[field] || '(none)', row.count])), issue.count, 6);
        const others = groups.length - 6;
        check.same(screen.bars[title]?.[0]?.more ?? null, others > 0 ? `${others} ${others === 1 ? 'other' : 'others'}` : null, `${title}, others`);
      }

      const events = await eventsOf(now, own);
      assert.ok(events.length > 20, 'there is more than one page of them');
      const position = await page.locator('.sample-nav > p').innerText();
      check.sentence(position, /^Event 1 of (\S+) · /, 'events of the issue', [issue.count, 'count']);
      check.true(position.endsWith(written.whole(events[0].time)), `latest event: ${position}`);
      check.same(await page.locator('.context-fact', { hasText: /^Event/ }).locator('dd').innerText(), events[0].id, 'id of the latest event');
      const clientOf = (event) => `${[event.browser, event.browser_version].filter(Boolean).join(' ')} · ${event.os}`;
      check.same(textsOf(screen.tables['Latest events of this issue'])?.map((cells) => cells.slice(0, 5)), events.slice(0, 20).map((event) => [
        written.second(event.time), event.user || event.visitor, clientOf(event), event.route, event.release,
      ]), 'latest events');

      const known = by(await rowsOf(now, { group_by: ['session'], measures: ['first_seen', 'last_seen'] }), 'session');
      const latest = [...new Set(events.map(({ session }) => session))].map((session) => known.get(session)).sort((a, b) => b.last_seen - a.last_seen).slice(0, 6);
      const sessions = await page.locator('.sample-sessions > li').evaluateAll((items) => items.map((item) => [
        /sessions\/(\w+)\?/.exec(item.querySelector('a').hash)[1], item.querySelector('.ago').title, item.querySelector('.sample-facts').textContent,
      ]));
      check.same(sessions.map(([session, end]) => [session, end]), latest.map((row) => [row.session, written.whole(row.last_seen)]), 'latest sessions');
      for (const [session, , said] of sessions) {
        const { first_seen: begin, last_seen: end } = known.get(session) ?? {};
        check.figure(said.split(' · ')[0], end - begin, 'duration', `length of session ${session}`);
      }
    }, { ready });
  });

  /** Endpoints or files, by what a row of them is called. */
  async function addressesOf(scope, kind, first, more = []) {
    const rows = await rowsOf(scope, { kinds: [kind], group_by: [first, 'target'], measures: ['count', ...DURATIONS, ...more] });
    return by(rows.map((row) => ({ ...row, called: `${row[first]} ${row.target}` })), 'called');
  }

  test('requests, with an endpoint opened', async (context) => {
    const now = scopeOf(RANGE);
    const requests = { kinds: ['request'] };
    const endpoints = await addressesOf(now, 'request', 'method', ['failures', 'sum']);
    const failing = [...endpoints.values()].reduce((most, row) => (row.failures > most.failures ? row : most));
    await shown(context, addressOf('requests', RANGE, { open: [failing.method, failing.target] }), async (check, screen, page) => {
      const measures = ['count', 'failures', ...DURATIONS];
      const [one, other] = await Promise.all([figuresOf(now, { ...requests, measures }), figuresOf(scopeOf(BEFORE), { ...requests, measures })]);
      const tiles = screen.tiles.Requests;
      check.tile(tiles, 'Requests', 'count', { value: one.count, before: other.count });
      check.tile(tiles, 'Failure rate', 'share', {
        value: one.failures / one.count, before: other.failures / other.count, detail: [/^(.*) failed$/, [one.failures, 'count']],
      });
      for (const [label, measure] of [['Median', 'p50'], ['p75 duration', 'p75'], ['p95 duration', 'p95']]) {
        check.tile(tiles, label, 'duration', { value: one[measure], before: other[measure] });
      }

      const outcomes = await rowsOf(now, { ...requests, group_by: ['status'], step: HOUR, zone_offset: zone, measures: ['count'] });
      const classes = grouped(outcomes, ({ status }) => (Number(status) >= 200 ? `${String(status)[0]}xx` : 'No answer'));
      const series = ['2xx', '3xx', '4xx', '5xx', 'No answer'].filter((name) => classes.has(name)).map((name) => {
        const times = [...grouped(classes.get(name), ({ time }) => time)];
        return [name, ['count', new Map(times.map(([time, rows]) => [time, sum(rows.map((row) => row.count))]))]];
      });
      check.chart(screen.tables, 'Answers by status', stepsOf(RANGE, HOURLY), Object.fromEntries(series));
      const [p95, p75, p50] = await Promise.all(['p95', 'p75', 'p50'].map(async (measure) => ['duration', await courseOf(now, HOURLY, requests, measure), null]));
      check.chart(screen.tables, 'Duration', stepsOf(RANGE, HOURLY), { p95, p75, p50 });

      const failures = await rowsOf(now, { ...requests, filters: [without('failure', '')], group_by: ['failure'], measures: ['count'] });
      const byClass = new Map(failures.map((row) => [FAILURES[row.failure], row.count]));
      check.bars(screen.bars['Failures by class'], 'failures by class', byClass, one.failures, 8);
      const statuses = (await rowsOf(now, { ...requests, group_by: ['status'], measures: ['count'] })).filter(({ status }) => Number(status) >= 400);
      statuses.sort((a, b) => b.count - a.count || a.status - b.status);
      check.same(await page.locator('.status-link').allInnerTexts(), statuses.map((row) => `${row.status} ${row.count}`), 'failed statuses');

      const enough = [...endpoints.values()].filter((row) => row.count >= 20);
      for (const [title, measure, unit] of [
        ['Slowest endpoints', (row) => row.p95, 'duration'], ['Most failing endpoints', (row) => row.failures / row.count, 'share'],
      ]) {
        const ranked = new Map(enough.filter((row) => measure(row) > 0).map((row) => [`${row.method} ${new URL(row.target).pathname}`, measure(row)]));
        const values = [...ranked.values()].sort((a, b) => b - a);
        const found = screen.bars[title] ?? [];
        check.same(found.length, Math.min(6, values.length), `${title}, endpoints`);
        found.forEach(({ label, text: said }, place) => {
          check.same(ranked.get(label), values[place], `${title}, place ${place + 1}: ${label}`);
          check.figure(said, ranked.get(label), unit, `${title}, ${label}`);
        });
      }

      const table = screen.tables['Requests by method and address'];
      check.list(table, 'endpoints', {
        wanted: endpoints, key: ([first]) => first.text.replace(' ', ' https://api.shop.example'), order: (row) => row.count, most: 25,
        columns: { Endpoint: null, Requests: count('count'), Failed: count('failures'), Rate: share('failures', 'count'), ...durations, 'Total time': duration('sum') },
      });
      check.sentence(table?.foot, /^(.*) endpoints$/, 'number of endpoints', [endpoints.size, 'count']);

      const { facts } = screen;
      check.figure(facts.Requests?.text, failing.count, 'count', 'requests of the endpoint');
      check.sentence(facts.Failed?.text, /^(.*) · (.*)$/, 'failures of the endpoint', [failing.failures, 'count'], [failing.failures / failing.count, 'share']);
      for (const measure of DURATIONS) check.figure(facts[measure]?.text, failing[measure], 'duration', `${measure} of the endpoint`);
      check.figure(facts['Total time']?.text, failing.sum, 'duration', 'total time of the endpoint');
      const own = [filter('method', failing.method), filter('target', failing.target), without('failure', '')];
      const latest = await eventsOf(now, { ...requests, filters: own }, 8);
      const rows = screen.tables['Latest failed requests']?.rows ?? [];
      check.same(rows.map((cells) => [0, 1, 4, 5].map((column) => cells[column].text)), latest.map((event) => [
        written.second(event.time), [event.status || '', FAILURES[event.failure]].filter(Boolean).join(' '), event.route, `${event.browser} · ${event.os}`,
      ]), 'latest failed requests');
      rows.forEach((cells, place) => {
        check.figure(cells[2].text, latest[place]?.value, 'duration', `duration of failed request ${place + 1}`);
        check.figure(cells[3].text, latest[place]?.data.response_size, 'bytes', `size of failed request ${place + 1}`);
      });
    });
  });

  test('resources, with a file opened', async (context) => {
    const now = scopeOf(RANGE);
    const resources = { kinds: ['resource'] };
    const files = await addressesOf(now, 'resource', 'name');
    const opened = [...files.values()].reduce((most, row) => (row.count > most.count ? row : most));
    await shown(context, addressOf('requests', RANGE, { tab: 'resources', open: [opened.name, opened.target] }), async (check, screen) => {
      const types = await rowsOf(now, { ...resources, group_by: ['name'], measures: ['count', ...DURATIONS, 'max'] });
      check.list(screen.tables['Resources by type'], 'resources by type', {
        wanted: by(types, 'name'), key: firstText, order: (row) => row.count,
        columns: { Type: null, 'Page loads': count('count'), ...durations, Slowest: duration('max') },
      });
      const courses = types.sort((a, b) => b.count - a.count).map(async ({ name }) => {
        const course = await courseOf(now, HOURLY, { ...resources, filters: [filter('name', name)] }, 'p75');
        return [name, ['duration', course, null]];
      });
      check.chart(screen.tables, 'p75 of the slowest file of a page, by type', stepsOf(RANGE, HOURLY), Object.fromEntries(await Promise.all(courses)));
      const table = screen.tables['Files that were the slowest of their type on a page'];
      check.list(table, 'files', {
        wanted: files, key: ([first, type]) => `${type.text} ${first.title}`, order: (row) => row.count, most: 25,
        columns: { File: (row) => row.target.replace('https://', ''), Type: null, 'Times slowest': count('count'), ...durations },
      });
      check.sentence(table?.foot, /^(.*) files ?\./, 'number of files', [files.size, 'count']);

      const latest = await eventsOf(now, { ...resources, filters: [filter('name', opened.name), filter('target', opened.target)] }, 8);
      const rows = screen.tables['Latest page loads']?.rows ?? [];
      check.same(rows.map((cells) => [cells[0].text, cells[1].text]), latest.map((event) => [written.second(event.time), event.route]), 'latest loads');
      rows.forEach((cells, place) => {
        check.figure(cells[2].text, latest[place]?.data.count, 'count', `files of load ${place + 1}`);
        check.figure(cells[3].text, latest[place]?.data.transfer_size, 'bytes', `transfer of load ${place + 1}`);
      });
    });
  });

  test('behaviour: pages, referrers, elements', (context) => shown(context, addressOf('behaviour', RANGE), async (check, screen) => {
    const now = scopeOf(RANGE);
    const totalsOf = async (scope) => ({ views: await countOf(scope, 'page_view'), ...await figuresOf(scope, { measures: ['visitors', 'sessions'] }) });
    const [one, other] = await Promise.all([totalsOf(now), totalsOf(scopeOf(BEFORE))]);
    const tiles = screen.tiles.Traffic;
    check.tile(tiles, 'Page views', 'count', { value: one.views, before: other.views });
    check.tile(tiles, 'Visitors', 'count', { value: one.visitors, before: other.visitors });
    check.tile(tiles, 'Sessions', 'count', { value: one.sessions, before: other.sessions });
    check.tile(tiles, 'Views per session', 'mean', { value: one.views / one.sessions, before: other.views / other.sessions });
    check.chart(screen.tables, 'Page views and visitors', stepsOf(RANGE, HOURLY), {
      'Page views': ['count', await courseOf(now, HOURLY, { kinds: ['page_view'] }, 'count')], Visitors: ['count', await courseOf(now, HOURLY, {}, 'visitors')],
    });

    const [views, stays, seen] = await Promise.all([
      rowsOf(now, { kinds: ['page_view'], group_by: ['route'], measures: ['count'] }),
      rowsOf(now, { kinds: ['time_on_page'], group_by: ['route'], measures: ['sum'] }),
      rowsOf(now, { kinds: ['page_view', 'time_on_page'], group_by: ['route'], measures: ['visitors'] }),
    ]);
    const [stayed, visited] = [by(stays, 'route'), by(seen, 'route')];
    const pages = views.map((row) => ({ ...row, visitors: visited.get(row.route)?.visitors, stay: (stayed.get(row.route)?.sum ?? 0) / row.count }));
    check.list(screen.tables['Top pages'], 'pages', {
      wanted: by(pages, 'route'), key: firstText, order: (row) => row.count, most: 25,
      columns: { Route: null, 'Page views': count('count'), Visitors: count('visitors'), 'Visible time per view': duration('stay') },
    });
    const referrers = await rowsOf(now, { kinds: ['page_view'], filters: [without('referrer', '')], group_by: ['referrer'], measures: ['count', 'visitors'] });
    check.list(screen.tables['Where visitors come from'], 'referrers', {
      wanted: by(referrers, 'referrer'), key: firstText, order: (row) => row.count, most: 15,
      columns: { Referrer: null, 'Page views': count('count'), Visitors: count('visitors') },
    });
    const kinds = ['click', 'rage_click', 'dead_click'];
    const ofKind = async (kind) => by(await rowsOf(now, { kinds: [kind], group_by: ['target'], measures: ['count'] }), 'target');
    const [clicks, raging, dead] = await Promise.all(kinds.map(ofKind));
    const elements = (await rowsOf(now, { kinds, group_by: ['target'], measures: ['visitors'] }))
      .map((row) => ({ ...row, clicks: clicks.get(row.target)?.count ?? 0, raging: raging.get(row.target)?.count, dead: dead.get(row.target)?.count }));
    check.list(screen.tables['Clicks on elements'], 'elements', {
      wanted: by(elements, 'target'), key: firstText, order: (row) => row.clicks, most: 15,
      columns: { Element: null, Clicks: count('clicks'), 'Rage clicks': count('raging'), 'Dead clicks': count('dead'), Visitors: count('visitors') },
    });
  }));

  for (const [what, unit, hours, filters] of [
    ['visitors within a day', 'visitor', 24, {}], ['sessions of desktops within an hour', 'session', 1, { device: 'desktop' }],
  ]) {
    test(`behaviour: funnel of ${what}`, (context) => {
      const steps = [['page_view', '/p/:id', 'Page view'], ['track', 'add_to_cart', 'Custom'], ['form_submit', '', 'Form sent'], ['track', 'purchase', 'Custom']];
      const chosen = { tab: 'funnel', step: steps.map(([kind, value], index) => `${index + 1}.${kind}:${value}`), hours, by: unit };
      const address = addressOf('behaviour', RANGE, { ...filters, ...chosen });
      return shown(context, address, async (check, _, page) => {
        const field = { page_view: 'route', track: 'name' };
        const wanted = await tableOf('/query/funnel', scopeOf(RANGE, filters), {
          by: unit, within: hours * HOUR,
          steps: steps.map(([kind, value]) => ({ label: value, kinds: [kind], filters: value ? [filter(field[kind], value)] : [] })),
        });
        assert.ok(wanted.at(-1).count > 0, 'somebody gets to the end');
        const found = await page.locator('.funnel-result > li').evaluateAll((items) => items.map((item) => ({
          step: [item.querySelector('.funnel-label .muted').textContent, item.querySelector('strong').textContent],
          lost: item.querySelector('.funnel-lost')?.textContent ?? null,
          numbers: Object.fromEntries([...item.querySelectorAll('dl > div')].map((part) => [...part.children].map((one) => one.textContent))),
        })));
        check.same(found.map(({ step }) => step), steps.map(([, value, kind]) => [kind, value || 'any']), 'steps');
        found.forEach(({ numbers, lost }, index) => {
          const row = wanted[index];
          check.figure(numbers.Count, row.count, 'count', `step ${index + 1}`);
          check.figure(numbers['Of all'], row.count / wanted[0].count, 'share', `share of step ${index + 1}`);
          const gone = row.count - (wanted[index + 1]?.count ?? row.count);
          if (gone > 0) check.sentence(lost, /^(.*) did not go on$/, `lost after step ${index + 1}`, [gone, 'count']);
          else check.same(lost, null, `lost after step ${index + 1}`);
          if (index === 0) return;
          check.figure(numbers['Of the step before'], row.count / wanted[index - 1].count, 'share', `step ${index + 1} of the one before`);
          check.figure(numbers['Median time since the step before'], row.median_ms, 'duration', `time to step ${index + 1}`);
        });
      });
    });
  }

  // Cohorts are days of UTC wherever they are looked at; west of Greenwich these begin on the evening before.
  for (const [period, length, called, timeZone] of [
    ['day', DAY, 'Day', TIME_ZONE], ['day', DAY, 'Day', 'America/New_York'], ['week', 7 * DAY, 'Week', 'America/New_York'],
  ]) {
    const address = addressOf('behaviour', WEEKS, { tab: 'retention', period, country: 'DE' });
    test(`behaviour: who comes again, by the ${period}, looked at in ${timeZone}`, (context) => shown(context, address, async (check, screen) => {
      const wanted = await tableOf('/query/retention', scopeOf(WEEKS, { country: 'DE' }), { period });
      const cohorts = [...grouped(wanted, ({ cohort }) => cohort)];
      const { head, rows } = screen.tables['Who comes again'] ?? { head: [], rows: [] };
      const columns = Math.min(14, Math.max(...wanted.map((row) => row.period)));
      check.same(head, ['First seen', 'Visitors', ...Array.from({ length: columns }, (_, index) => `${called} ${index + 1}`)], 'periods');
      check.same(rows.map(firstText), cohorts.map(([cohort]) => clock('UTC').day(cohort)), 'cohorts');
      cohorts.forEach(([cohort, members], place) => {
        const cells = rows[place] ?? [];
        const came = (n) => members.find((row) => row.period === n)?.count ?? 0;
        check.figure(cells[1]?.text, came(0), 'count', `size of cohort ${place + 1}`);
        for (let n = 1; n <= columns; n += 1) {
          // What is not yet is neither none nor a share.
          const ahead = cohort + n * length >= WEEKS.to;
          check.figure(cells[n + 1]?.text, ahead ? null : came(n) / came(0), 'share', `cohort ${place + 1}, ${called} ${n}`);
          if (!ahead) check.figure(cells[n + 1]?.title, came(n), 'count', `cohort ${place + 1}, ${called} ${n}, visitors`);
        }
      });
    }, { timeZone }));
  }

  /** The pages of each session in order, without those that were only shown again. */
  const waysOf = (views) => [...grouped(inOrder(views), ({ session }) => session).values()]
    .map((own) => own.map(({ route }) => route).filter((route, index, all) => route !== all[index - 1]));

  for (const start of ['', '/cart']) {
    const address = addressOf('behaviour', RANGE, { tab: 'paths', ...(start && { start }) });
    test(`behaviour: paths from ${start || 'the first page'}`, (context) => shown(context, address, async (check, _, page) => {
      const found = await page.locator('.paths > section').evaluateAll((sections) => sections.map((section) => [...section.querySelectorAll('li')].map((item) => ({
        from: item.querySelector('.path-from').lastChild.textContent, to: item.querySelector('.path-to button')?.textContent ?? null,
        number: item.querySelector('.path-count').firstChild.textContent, part: item.querySelector('.path-count .muted').textContent,
      }))));
      const answered = grouped(await tableOf('/query/paths', scopeOf(RANGE), { depth: 4, limit: 12, ...(start && { start }) }), ({ step }) => step);
      // Counted once more from the page views themselves, as the answer has the most frequent passages only.
      const ways = waysOf(await eventsOf(scopeOf(RANGE), { kinds: ['page_view'] }))
        .filter((way) => !start || way.includes(start)).map((way) => (start ? way.slice(way.indexOf(start)) : way));
      check.same(found.length, 4, 'passages');
      found.forEach((passages, index) => {
        const what = `passage ${index + 1}`;
        check.same(passages.map(({ from, to }) => [from, to]), (answered.get(index + 1) ?? []).map(({ source, target }) => [source, target]), what);
        const here = ways.filter((way) => way.length > index);
        for (const { from, to, number, part } of passages) {
          const same = here.filter((way) => way[index] === from && (way[index + 1] ?? null) === to).length;
          check.figure(number, same, 'count', `${what}, ${from} to ${to}`);
          check.figure(part, same / here.length, 'share', `${what}, share of ${from} to ${to} among all who got there`);
        }
      });
    }));
  }

  /** Sessions with what happened in them within the range. */
  async function sessionsOf(scope) {
    const countsOf = async (question) => by(await rowsOf(scope, { group_by: ['session'], measures: ['count'], ...question }), 'session');
    const [all, errors, raging, failures, who, views] = await Promise.all([
      countsOf({ measures: ['first_seen', 'last_seen'] }), countsOf({ kinds: ['error'] }), countsOf({ kinds: ['rage_click'] }),
      countsOf({ filters: [without('failure', '')] }), countsOf({ group_by: ['session', 'visitor', 'user', 'browser', 'os'] }), eventsOf(scope, { kinds: ['page_view'] }),
    ]);
    const ways = grouped(inOrder(views), ({ session }) => session);
    return [...all.values()].map(({ session, first_seen: start, last_seen: end }) => {
      const of = (counts) => counts.get(session)?.count ?? 0;
      const { visitor, user, browser: name, os } = who.get(session);
      const way = ways.get(session) ?? [];
      return {
        session, start, end, views: way.length, errors: of(errors), raging: of(raging), failures: of(failures),
        entry: way[0]?.route, exit: way.at(-1)?.route, who: user ? `User ${user}` : `Visitor ${visitor.slice(0, 12)}`, client: `${name} · ${os}`,
      };
    });
  }

  for (const [what, params, filters, keep, order] of [
    ['the newest', {}, {}, () => true, () => 0],
    ['the second page of the longest', { sort: 'longest', at: 50 }, {}, () => true, (a, b) => (b.end - b.start) - (a.end - a.start)],
    ['those of one browser with errors, most first', { with: 'errors', sort: 'errors' }, { browser: 'Chrome' }, ({ errors }) => errors > 0, (a, b) => b.errors - a.errors],
  ]) {
    test(`sessions: ${what}`, (context) => shown(context, addressOf('sessions', RANGE, { ...filters, ...params }), async (check, screen, page) => {
      const all = (await sessionsOf(scopeOf(RANGE, filters))).filter(keep).sort((a, b) => order(a, b) || b.end - a.end);
      const at = params.at ?? 0;
      const wanted = all.slice(at, at + 50);
      const { head, rows } = screen.tables['Sessions of the range'] ?? { head: [], rows: [] };
      check.same(head, ['Visitor', 'Started', 'Duration', 'Entry → exit', 'Pages', 'Errors', 'Rage clicks', 'Failed requests', 'Browser and device'], 'columns');
      check.same(await page.locator('.session-id').allInnerTexts(), wanted.map(({ session }) => session), 'sessions in order');
      wanted.forEach((row, place) => {
        const cells = rows[place]?.map((cell) => cell.text) ?? [];
        const session = `session ${row.session}`;
        check.same([cells[0], cells[3]], [`${row.who} ${row.session}`, `${row.entry} ${row.exit}`], session);
        check.true(cells[1]?.endsWith(` ${written.second(row.start)}`), `${session} began: ${cells[1]}`);
        check.figure(cells[2], row.end - row.start, 'duration', `duration of ${session}`);
        [row.views, row.errors, row.raging, row.failures].forEach((value, index) => check.figure(cells[4 + index], value, 'count', `${head[4 + index]} of ${session}`));
        check.true(cells[8]?.startsWith(`${row.client} `), `${session}: ${cells[8]}`);
      });
      check.same(await page.locator('.pager > .muted').allInnerTexts(), all.length > 50 ? [`${at + 1}–${at + wanted.length}`] : [], 'pager');
    }));
  }

  test('one session', async (context) => {
    const ofRange = await sessionsOf(scopeOf(RANGE));
    const session = ofRange.filter(({ errors, failures }) => errors > 0 && failures > 0).reduce((most, one) => (one.views > most.views ? one : most));
    // Wherever the range ends, a session is shown whole.
    const address = addressOf(`sessions/${session.session}`, { from: session.start + 1, to: session.start + 2 });
    await shown(context, address, async (check, screen, page) => {
      const around = scopeOf({ from: session.start - DAY, to: session.end + DAY }, { session: session.session });
      const events = inOrder(await eventsOf(around, {}));
      const [first, last] = [events[0].time, events.at(-1).time];
      const weightOf = (keep) => Math.round(sum(events.filter(keep).map((event) => event.weight ?? 1)));
      const is = (...kinds) => ({ kind }) => kinds.includes(kind);
      const { facts } = screen;
      check.same([screen.heading, facts.Started?.text], [session.who, written.whole(first)], 'who and when');
      check.figure(facts.Duration?.text, last - first, 'duration', 'duration');
      const counted = {
        Pages: is('page_view'), Clicks: is('click'), Errors: is('error'), 'Failed requests': ({ failure }) => failure !== '', 'Rage clicks': is('rage_click'),
      };
      for (const [label, keep] of Object.entries(counted)) check.figure(facts[label]?.text, weightOf(keep), 'count', label);

      const kinds = {
        'Page activity': ['page_view', 'navigation', 'time_on_page', 'scroll_depth'], Actions: ['click', 'form_submit', 'track'],
        'Rage and dead clicks': ['rage_click', 'dead_click'], Network: ['request', 'resource'], Errors: ['error'], 'Web vitals': ['vital'],
        'Long tasks': ['longtask'], Console: ['message'],
      };
      const lanes = Object.entries(kinds).map(([label, of]) => [label, events.filter(is(...of)).length]).filter(([, n]) => n > 0);
      const buttons = await page.locator('.lane-button').evaluateAll((all) => all.map(({ lastChild }) => [lastChild.previousSibling.textContent, lastChild.textContent]));
      check.same(buttons, [['All', events.length], ...lanes].map(([label, n]) => [label, String(n)]), 'lanes');

      const views = events.filter(is('page_view'));
      const chapters = await page.locator('.chapter:has(.chapter-route)').evaluateAll((items) => items.map((item) => ({
        route: item.querySelector('.chapter-route').textContent, stay: item.querySelector('.chapter-stay').textContent,
        moments: item.querySelectorAll('.moment-row').length,
      })));
      check.same(chapters.map(({ route }) => route), views.map(({ route }) => route), 'pages in order');
      chapters.forEach(({ route, stay, moments }, index) => {
        const begin = events.indexOf(views[index]);
        const end = index + 1 < views.length ? events.indexOf(views[index + 1]) : events.length;
        check.sentence(stay, /^(.*) on this page$/, `stay on ${route}`, [(events[end]?.time ?? last) - events[begin].time, 'duration']);
        check.same(moments, end - begin - 1, `events on ${route}`);
      });
      const moments = await page.locator('.moment-row').evaluateAll((rows) => rows.map((row) => [row.id, row.querySelector('.moment').title]));
      const others = events.filter(({ kind }) => kind !== 'page_view');
      check.same(moments, others.map(({ id, time }) => [`event-${id}`, written.whole(time)]), 'events in order');
      const stands = weightOf(() => true);
      const foot = stands > events.length ? [`${events.length} whole events stand for ${stands} (repeats are folded, some kinds are sampled).`] : [];
      check.same(await page.locator('.timeline-card > .foot').allInnerTexts(), foot, 'what they stand for');
    });
  });

  test('events, page by page', (context) => {
    const ready = async (page) => {
      await settled(page);
      await page.getByRole('button', { name: 'Show older events' }).click();
      await page.waitForFunction(() => document.querySelectorAll('.live-row').length > 50);
      return page.locator('.live-row').evaluateAll(partsOf, ['.live-time', '.live-kind', '.live-text > strong', '.live-text', '.live-value']);
    };
    return shown(context, addressOf('events', RANGE, { kind: ['vital', 'request'], device: 'desktop' }), async (check, found, page) => {
      const events = await eventsOf(scopeOf(RANGE, { device: 'desktop' }), { kinds: ['vital', 'request'] }, 100);
      const called = { vital: 'Web vital', request: 'Request' };
      check.same(found.map((row) => row.slice(0, 3)), events.map(({ time, kind, name }) => [written.second(time), called[kind], name]), 'events in order');
      found.forEach(([, , , said, value], place) => {
        const { kind, id, name, target, route, status, failure, value: measured } = events[place] ?? {};
        const what = `${kind} ${id}`;
        check.true(said.includes(target || route), `${what}: ${said}`);
        const outcome = kind === 'request' ? [status || '', failure === 'business' ? 'business' : ''].filter(Boolean) : [];
        check.same(value.split(' · ').slice(0, -1), outcome.map(String), `${what}, outcome`);
        check.figure(value.split(' · ').at(-1), measured, unitOf(name), what);
      });
      check.sentence(await page.locator('.table-foot > span').innerText(), /^(.*) events$/, 'number of events', [events.length, 'count']);
    }, { ready });
  });

  /** Sends events of now, and what else the envelope holds; the ids of those that were taken. */
  async function send(events, more = {}) {
    const now = Date.now();
    const given = events.map((event) => ({ id: crypto.randomUUID(), time: now, ...event }));
    const envelope = { v: 1, sent_at: now, page: { route: '/live' }, session: { id: 'live-session', visitor: 'live-visitor' }, ...more, events: given };
    const answer = await fetch(`${service.base}/api/shop/events?key=demo-key`, { method: 'POST', body: JSON.stringify(envelope) });
    assert.equal(answer.status, 202);
    const { rejected } = await answer.json();
    return given.map(({ id }) => id).filter((_, index) => !rejected.some((one) => one.index === index));
  }

  test('live', (context) => {
    const ready = async (page) => {
      await page.locator('.live-live').waitFor();
      await page.getByText('Events per second').waitFor();
    };
    return shown(context, addressOf('live', {}), async (check, _, page) => {
      const ids = await send([
        { kind: 'track', name: 'first' }, { kind: 'track', name: 'second', weight: 3 }, { kind: 'vital', name: 'LCP', value: 2_311 },
        { kind: 'click', attributes: { target: 'button#buy' } },
        { kind: 'request', name: 'fetch', value: 412, attributes: { method: 'GET', status: '503', failure: 'http', target: 'https://api.example/cart' } },
      ]);
      await page.waitForFunction((n) => document.querySelectorAll('.live-row').length >= n, ids.length);
      // The figures of the minute come each second, and they count weights.
      await page.locator('.tile', { hasText: 'Custom' }).locator('.tile-value', { hasText: /^4$/ }).waitFor();
      const tiles = (await page.evaluate(readAll)).tiles['Right now'];

      const now = scopeOf({ from: TRAFFIC.until, to: TRAFFIC.until + DAY });
      const stored = await eventually(() => eventsOf(now, { filters: [filter('id', ...ids)] }), ({ length }) => length === ids.length);
      const weightOf = (events) => sum(events.map(({ weight = 1 }) => weight));
      check.figure(tiles.Custom?.value, weightOf(stored.filter(({ kind }) => kind === 'track')), 'count', 'custom events of the minute');
      check.figure(tiles['LCP, median of the last minute']?.value, stored.find(({ name }) => name === 'LCP').value, 'duration', 'LCP of the minute');
      const [, seconds] = /^Mean of the last (\d+) s$/.exec(tiles['Events per second']?.detail) ?? [];
      check.figure(tiles['Events per second']?.value, weightOf(stored) / seconds, 'mean', 'events per second');

      for (const head of await page.locator('.live-head').all()) await head.click();
      const found = await page.locator('.live-row').evaluateAll((rows) => rows.map((row) => ({
        id: [...row.querySelectorAll('.json-leaf')].map((leaf) => /^id: "(.*)"$/.exec(leaf.textContent)?.[1]).find(Boolean),
        kind: row.querySelector('.live-kind').title, name: row.querySelector('strong').textContent,
        time: row.querySelector('.live-time').textContent, value: row.querySelector('.live-value').textContent,
      })));
      const byId = (rows) => rows.map(({ id, kind, name, time }) => [id, kind, name, time]).sort();
      const wanted = stored.map((event) => ({ ...event, name: event.name === event.kind ? '' : event.name, time: written.second(event.time).split(', ')[1] }));
      check.same(byId(found), byId(wanted), 'events');
      const values = found.map(({ name, value }) => `${name} ${value}`.trim()).sort();
      check.same(values, ['', 'LCP 2.31 s', 'fetch 503 · 412 ms', 'first', 'second ×3'], 'values');
      check.sentence(await page.locator('.list-card > .foot').innerText(), /^(.*) events$/, 'number of events', [stored.length, 'count']);
    }, { ready });
  });

  const answerOf = async (path) => (await fetch(`${service.base}${path}`)).json();

  /** `/metrics`: values by name, with the label that some have. */
  async function metrics() {
    const lines = (await (await fetch(`${service.internal}/metrics`)).text()).split('\n').filter((line) => line && !line.startsWith('#'));
    return new Map(lines.map((line) => {
      const [, name, label, value] = /^monitor_(\w+?)(?:_total)?(?:\{\w+="(.*)"\})? (\S+)$/.exec(line);
      return [label === undefined ? name : `${name} ${label}`, Number(value)];
    }));
  }

  test('system', async (context) => {
    // Something to count, something that is refused, and something that a browser lost.
    const discarded = [{ reason: 'queue_overflow', kind: 'vital', count: 3 }];
    const accepted = await send([{ kind: 'click' }, { kind: 'Not A Kind' }, { kind: 'track', name: 'third' }], { discarded });
    assert.equal(accepted.length, 2);
    await eventually(metrics, (all) => all.get('events_delivered clickhouse') === all.get('events_accepted') && all.get('spool_events clickhouse') === 0);
    // Who looked at the live page has gone.
    const early = await eventually(() => answerOf('/query/system'), ({ process }) => process.live_viewers === 0);
    // Nobody keeps rates, and parts are merged at any time: these figures are what the page was told when it asked.
    const told = { system: [], storage: [] };
    const ready = async (page) => {
      page.on('response', (response) => told[/\/query\/(system|storage)$/.exec(response.url())?.[1]]?.push(response.json()));
      // The course begins with the second reading.
      await page.getByRole('heading', { name: 'Since this page was opened' }).waitFor();
      return view(page);
    };
    await shown(context, addressOf('system', {}), async (check, screen, page) => {
      const [late, counters] = await Promise.all([answerOf('/query/system'), metrics()]);
      const tiles = screen.tiles['State of the service'];
      check.same(tiles['Takes events'], { value: '✓', change: null, detail: 'Store: Answers' }, 'state');
      const { value: up, detail: since } = tiles['Up for'];
      const [least, most] = read(up, 'duration') ?? [];
      const isBetween = early.uptime_seconds * SECOND <= most && least <= late.uptime_seconds * SECOND;
      check.true(isBetween, `up for ${up}, and not for ${early.uptime_seconds} to ${late.uptime_seconds} s`);
      check.same(since, `Version ${late.version} · Since ${written.second(late.started)}`, 'version and start');
      check.figure(tiles['Events waiting to be written'].value, counters.get('spool_events clickhouse'), 'count', 'waiting');
      check.figure(tiles['Dead letters'].value, counters.get('dead_letters clickhouse'), 'count', 'dead letters');
      const losses = { events_rejected: 'Refused: not a valid event', client_events_discarded: 'Discarded in the browser' };
      const lost = [...counters].map(([name, n]) => [...name.split(' '), n]).filter(([name]) => name in losses).sort(([, , a], [, , b]) => b - a);
      check.same(lost.map(([, , n]) => n), [3, 1], 'what was lost');
      check.figure(tiles['Events lost'].value, sum(lost.map(([, , n]) => n)), 'count', 'events lost');
      const reasons = lost.map(([name, reason, n]) => [losses[name], reason, 'Lost', String(n)]);
      check.same(textsOf(screen.tables['What did not become a row, and why']), reasons, 'why it was lost');
      const delivered = counters.get('events_delivered clickhouse');
      const lane = ['clickhouse', '0', '–', ...[delivered, counters.get('batches_retried clickhouse') ?? 0, counters.get('dead_letters clickhouse')].map(String)];
      check.same(textsOf(screen.tables['Ways out of the spool']), [lane], 'ways out of the spool');
      const foot = await page.locator('p', { hasText: 'Live viewers' }).innerText();
      const form = /^Live viewers: (.*) · Delivered since the start of this process: (.*)$/;
      check.sentence(foot, form, 'viewers and deliveries', [late.process.live_viewers, 'count'], [delivered, 'count']);

      const { head, rows } = screen.tables['Since this page was opened'];
      check.same(head, ['Time', 'Accepted per second', 'Waiting'], 'course');
      const readings = (await Promise.all(told.system)).slice(0, rows.length).map(({ process }) => process);
      check.true(rows.length >= 2 && readings.length === rows.length, `${rows.length} readings of ${told.system.length} answers`);
      rows.toReversed().forEach((cells, place) => {
        check.figure(cells[1].text, readings[place]?.rates.per_second.events_accepted, 'mean', `accepted per second, reading ${place + 1}`);
        check.figure(cells[2].text, readings[place]?.spool.lanes.clickhouse.events, 'count', `waiting, reading ${place + 1}`);
      });
      const { rates } = readings.at(-1);
      check.tile(tiles, 'Events accepted per second', 'mean', {
        value: rates.per_second.events_accepted, detail: [/^Mean of (.*)$/, [rates.over_seconds * SECOND, 'duration']],
      });

      const [table, again] = [await told.storage.at(-1), await answerOf('/query/storage')].map((answer) => by(named(answer), 'table'));
      const events = table.get('events').rows;
      check.same(events, again.get('events').rows, 'events stored, asked once more');
      const bytes = sum([...table.values()].map((row) => row.bytes));
      check.tile(screen.tiles.Storage, 'Events stored', 'count', { value: events });
      check.tile(screen.tiles.Storage, 'On disk in all', 'bytes', { value: bytes });
      check.tile(screen.tiles.Storage, 'Disk per million events, rollups included', 'bytes', { value: (bytes / events) * 1e6 });
      check.list(screen.tables.Storage, 'storage', {
        wanted: table, key: firstText, order: (row) => row.bytes,
        columns: {
          Table: null, Rows: count('rows'), 'On disk': (row) => [row.bytes, 'bytes'], 'Bytes per row': (row) => [row.rows ? row.bytes / row.rows : null, 'bytes'],
          Oldest: (row) => (row.oldest === null ? '–' : written.year(row.oldest)),
        },
      });
    }, { ready });
  });
});
