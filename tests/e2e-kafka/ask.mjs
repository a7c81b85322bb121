// HTTP requests whose address, headers and connection a test chooses.
import { request } from 'node:http';

/** Asks and gives `{status, headers, body, json}`; rejected when there is no answer. */
export const ask = (url, { method = 'GET', headers = {}, body, from, agent } = {}) => new Promise((done, failed) => {
  const sent = request(url, { method, headers, localAddress: from, agent }, (answer) => {
    const pieces = [];
    answer.on('data', (piece) => pieces.push(piece));
    answer.once('error', failed);
    answer.once('end', () => {
      const text = Buffer.concat(pieces).toString();
      let json;
      try { json = JSON.parse(text); } catch { /* It is no JSON. */ }
      done({ status: answer.statusCode, headers: answer.headers, body: text, json });
    });
  });
  sent.once('error', failed);
  sent.end(body);
});
