import { describe, expect, it } from 'vitest';
import { SseParser } from '../src/api/sse.ts';

const STREAM = ': hello\n\nevent: events\r\ndata: [1,\r\ndata: 2]\r\n\r\nevent:dropped\rdata:{"count":3}\r\rdata: plain\n\n';
const MESSAGES = [{ event: 'events', data: '[1,\n2]' }, { event: 'dropped', data: '{"count":3}' }, { event: 'message', data: 'plain' }];

describe('the live stream', () => {
  it('is read with every kind of line end', () => {
    expect(new SseParser().push(STREAM)).toEqual(MESSAGES);
  });

  it('is read the same however it is cut', () => {
    for (let size = 1; size <= 7; size++) {
      const parser = new SseParser();
      const messages = [];
      for (let at = 0; at < STREAM.length; at += size) messages.push(...parser.push(STREAM.slice(at, at + size)));
      expect(messages, `pieces of ${size}`).toEqual(MESSAGES);
    }
  });

  it('gives nothing for comments and for messages without data', () => {
    expect(new SseParser().push(': still here\n\nevent: events\n\nid: 4\n\n')).toEqual([]);
  });

  it('ends when a message never does', () => {
    const parser = new SseParser();
    expect(() => { for (let i = 0; i < 40; i++) parser.push(`data: ${'x'.repeat(1_000_000)}\n`); }).toThrow('too large');
  });
});
