import { afterEach, describe, expect, it, vi } from 'vitest';
// @ts-expect-error the mock is plain JavaScript
import { system } from '../mock/system.mjs';
import { ApiError, ask, askEvents, getMe, getProjects, getStorage } from '../src/api/client.ts';
import { followLive, type LiveStatus } from '../src/api/live.ts';
import { getSystem } from '../src/api/queries/system.ts';
import { language } from '../src/i18n/index.ts';
import { reasonOf, reasonText } from '../src/i18n/reasons.ts';

afterEach(() => {
  language.value = 'en';
  vi.unstubAllGlobals();
});

const { signal } = new AbortController();
const answers = (body: unknown, status = 200) => vi.stubGlobal('fetch', async () => new Response(typeof body === 'string' ? body : JSON.stringify(body), { status }));
const query = { project: 'shop', from: 0, to: 1, measures: ['count'] };
const stats = { elapsed_ms: 1, rows_read: 2 };
const table = { columns: ['count'], rows: [[1]], stats };
const page = { events: [{ id: 'a', time: 1 }], next: null, stats };
const figures = system(2_000, 1_000);

describe('an answer of another form', () => {
  it.each<[string, (from: AbortSignal) => Promise<unknown>, unknown[], unknown[]]>([
    ['table', (from) => ask(query, from), [table, { ...table, previous: [], totals: null }], [{}, { ...table, stats: null }, { ...table, stats: {} }, { ...table, rows: [null] }, { ...table, columns: [1] }, { ...table, previous: {} }]],
    ['storage', getStorage, [table], [{}, { columns: ['table'] }]],
    ['events', (from) => askEvents(query, from), [page, { ...page, next: 'x' }], [{}, { ...page, events: [null] }, { ...page, next: 3 }, { ...page, stats: null }, table]],
    ['system', getSystem, [figures, { ...figures, process: null }], [{}, { ...figures, ready: undefined }, { ...figures, process: {} }, { ...figures, process: { ...figures.process, spool: { bytes: 1, lanes: { a: null } } } }]],
    ['projects', getProjects, [{ projects: [] }, { projects: [{ id: 'a' }] }], [{}, { projects: [{}] }]],
    ['reader', getMe, [{ name: 'anna', can_log_out: true }], []],
  ])('is none: %s', async (_, load, right, wrong) => {
    for (const body of right) {
      answers(body);
      await expect(load(signal)).resolves.toBeDefined();
    }
    for (const body of [...wrong, null, [], 'text', '{"columns":[']) {
      answers(body);
      await expect(load(signal), JSON.stringify(body)).rejects.toMatchObject({ code: 'bad_answer' });
    }
  });
});

describe('why something failed', () => {
  it('is told in the language of the viewer, what more the service says as a detail', async () => {
    const cases: [ApiError, en: string, zh: string][] = [
      [new ApiError(404, 'not_found', 'no such project'), 'no such project', '没有此项目'],
      [new ApiError(400, 'bad_query', 'from must be before to.'), 'the question is not valid (from must be before to)', '查询无效（from must be before to）'],
      [new ApiError(422, 'too_expensive', 'the question is too expensive: it takes too long'), 'the question is too expensive: it takes too long', '查询开销过大：耗时过长'],
      [new ApiError(422, 'too_expensive', 'the question is too expensive: it is too much'), 'the question is too expensive (it is too much)', '查询开销过大（it is too much）'],
      [new ApiError(503, 'unavailable', 'the store did not answer in time'), 'the store did not answer in time', '存储未能及时响应'],
      [new ApiError(418, 'teapot', 'short and stout'), 'the server answered 418 (short and stout)', '服务器返回 418（short and stout）'],
      [new ApiError(502, ''), 'the server answered 502', '服务器返回 502'],
      [new ApiError(0, 'unreachable'), 'the server cannot be reached', '无法连接服务器'],
    ];
    for (const [error, en, zh] of cases) {
      language.value = 'en';
      expect(reasonText(error)).toBe(en);
      language.value = 'zh';
      expect(reasonText(error)).toBe(zh);
    }
    expect(reasonOf(new TypeError('x'))).toEqual({ text: '面板自身出错', detail: 'TypeError: x' });
    answers('<html>Bad gateway', 502);
    expect(reasonText(await ask(query, signal).catch((error: unknown) => error))).toBe('服务器返回 502');
  });

  it('is told of the live stream, too', async () => {
    language.value = 'zh';
    for (const [body, status, told] of [['', 200, 'waiting: 数据流已结束'], ['event: events\ndata: {\n\n', 200, /^waiting: 数据流中断（.+）$/], ['{"error":{"code":"not_found","message":"no such project"}}', 404, 'refused: 没有此项目']] as const) {
      answers(body, status);
      const controller = new AbortController();
      const said: LiveStatus[] = [];
      await followLive('shop', [], [], { onEvents() {}, onDropped() {}, onStatus(next) { said.push(next); if ('error' in next) controller.abort(); } }, controller.signal);
      const last = said.at(-1)!;
      expect('error' in last ? `${last.state}: ${reasonText(last.error)}` : '').toMatch(told);
    }
  });
});
