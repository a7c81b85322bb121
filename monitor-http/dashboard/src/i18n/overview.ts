import { messages } from './index.ts';

export const t = messages({
  totals: ['Totals of the range', '范围内合计'],
  errorRate: ['Errors per page view', '每次浏览错误率'],
  failureRate: ['Failed requests', '请求失败率'],
  nErrors: ['{n} {n|error|errors}', '{n} 个错误'],
  partOf: ['{part} of {total}', '{part} / {total}'],
  vitals: ['Web vitals, 75th percentile', '网页指标，第 75 百分位'],
  vitalTitle: ['{name}: show its trend below', '{name}：在下方显示趋势'],
  viewsAndErrors: ['Page views and errors', '页面浏览量与错误'],
  people: ['Visitors and sessions', '访客与会话'],
  p75Of: ['{name}, 75th percentile', '{name}，第 75 百分位'],
  goodUpTo: ['good up to {value}', '良好：不超过 {value}'],
  poorAbove: ['poor above {value}', '较差：超过 {value}'],
  samples: ['Samples', '样本'],
  requestsAndFailures: ['Requests and failures', '请求与失败'],
  failed: ['Failed', '失败'],
  fine: ['Fine', '正常'],
  viewsBefore: ['Page views before', '之前的页面浏览量'],
  toPerformance: ['More on performance', '查看性能详情'],
});
