// Why something failed, in the viewer's language: the words of the service are English. What it says beside its known words stays as a detail.

import { ApiError } from '../api/client.ts';
import { language, messages } from './index.ts';

/** The codes of monitor-http/src/answer.rs that readers meet, with the words that go with them there, and the dashboard's own. */
const REASONS: readonly (readonly [code: string, en: string, zh: string])[] = [
  ['unreachable', 'the server cannot be reached', '无法连接服务器'],
  ['bad_answer', 'the answer is not in the expected form', '返回内容的格式不符合预期'],
  ['unexpected', 'the dashboard itself failed', '面板自身出错'],
  ['stream_ended', 'the stream ended', '数据流已结束'],
  ['stream_silent', 'the stream went silent', '数据流长时间没有响应'],
  ['stream_broken', 'the stream broke off', '数据流中断'],
  ['not_found', 'no such project', '没有此项目'],
  ['not_found', 'there is nothing here', '此处没有内容'],
  ['bad_query', 'the question is not valid', '查询无效'],
  ['too_expensive', 'the question is too expensive: it takes too long', '查询开销过大：耗时过长'],
  ['too_expensive', 'the question is too expensive: it reads too much', '查询开销过大：读取的数据过多'],
  ['too_expensive', 'the question is too expensive: it needs too much memory', '查询开销过大：占用内存过多'],
  ['too_expensive', 'the answer is too large: ask for fewer rows', '返回的数据过多'],
  ['too_expensive', 'the question is too expensive', '查询开销过大'],
  ['unavailable', 'the store does not answer; try again', '存储没有响应，请重试'],
  ['unavailable', 'the store did not answer in time', '存储未能及时响应'],
  ['unavailable', 'no store is installed that could answer', '未安装可供查询的存储'],
  ['unavailable', 'the store does not answer', '存储没有响应'],
  ['store_failed', 'the store failed on this question', '存储处理此查询时出错'],
  ['unauthorized', 'sign in first', '请先登录'],
  ['login_refused', 'name, password or token are not right', '用户名、密码或令牌不正确'],
  ['no_login', 'nobody can log in here', '此处无法登录'],
  ['forbidden', 'this needs a larger role', '权限不足'],
  ['cross_site', 'readers must be of the same site', '只允许同一站点读取'],
  ['unknown_host', 'open to everybody, this answers only to an IP address, localhost, or the host of public_url', '服务对所有人开放时，只响应 IP 地址、localhost 或 public_url 的主机'],
  ['rate_limited', 'too many requests or events', '请求或事件过多'],
  ['too_large', 'the body is larger than allowed', '请求内容过大'],
  ['uri_too_long', 'the URI is too long', '地址过长'],
  ['too_many_viewers', 'too many live viewers', '实时查看者过多'],
  ['too_many_exports', 'too many exports at the same time', '同时进行的导出过多'],
  ['overloaded', 'the receiver is busy', '服务繁忙'],
  ['shutting_down', 'the receiver is shutting down', '服务正在关闭'],
  ['internal', 'the receiver failed on this request', '服务处理此请求时出错'],
];

const t = messages({
  answered: ['the server answered {status}', '服务器返回 {status}'],
  withDetail: ['{text} ({detail})', '{text}（{detail}）'],
});

export interface Reason {
  text: string;
  /** In the words of the service, where it says more; empty otherwise. */
  detail: string;
}

export function reasonOf(error: unknown): Reason {
  const { status, code, message } = error instanceof ApiError ? error : new ApiError(0, 'unexpected', String(error));
  const ofCode = REASONS.filter((reason) => reason[0] === code);
  // The last one of a code is what all of them have in common.
  const known = ofCode.find(([, en]) => message.startsWith(en)) ?? ofCode.at(-1);
  if (!known) return { text: t('answered', { status: String(status) }), detail: trimmed(message) };
  const [, en, zh] = known;
  return { text: language.value === 'zh' ? zh : en, detail: trimmed(message.startsWith(en) ? message.slice(en.length) : message) };
}

/** The same as one text. */
export function reasonText(error: unknown): string {
  const { text, detail } = reasonOf(error);
  return detail === '' ? text : t('withDetail', { text, detail });
}

/** Without the marks that begin or end a part of a sentence. */
const trimmed = (text: string): string => text.replace(/^[\s:;,]+|[\s.]+$/g, '');
