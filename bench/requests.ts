/** What the load generator sends, and how it reads what comes back. Everything but wallet and key is made once. */
import { randomUUID } from 'node:crypto';
import { walletIdOf } from './wallet-ids.js';

/** Items of one batch. */
export const BATCH_ITEMS = 500;

export type RequestKind = 'debits' | 'transfers' | 'batches' | 'balances';

export interface RequestOptions {
  kind: RequestKind;
  host: string;
  /** How many wallets are used: 0 to this less one, or as many from `first` on, `stride` apart. */
  wallets: number;
  first?: number;
  stride?: number;
  /** 0 draws wallets uniformly; 1 gives the second-busiest wallet half of the busiest one's traffic, and so on. */
  zipf: number;
  /** An access token, where the service asks for one. */
  token?: string;
  /** One for each wallet: that of its owner. */
  tokens?: string[];
}

/** Requests of one kind. */
export interface Requests {
  next(): string;
  /** The status of an answer that did what was asked. */
  expected: '200' | '201';
  /** How many operations one request asks for. */
  operations: number;
  /** How many of them an answer with that status says were done. */
  doneIn(answer: Buffer): number;
}

export function requestsOf(options: RequestOptions): Requests {
  const { kind, host, wallets, first = 0, stride = 1, zipf, token, tokens } = options;
  const draw = zipf > 0 ? zipfian(wallets, zipf) : () => Math.floor(Math.random() * wallets);
  const ids = Array.from({ length: wallets }, (_, i) => walletIdOf(first + i * stride));
  const authorization = token ? `Authorization: Bearer ${token}\r\n` : '';
  const head = ` HTTP/1.1\r\nHost: ${host}\r\n${authorization}`;
  // Keys are random, as clients make them.
  const keyed = `${head}Content-Type: application/json\r\nIdempotency-Key: `;
  const one = { expected: '201', operations: 1, doneIn: () => 1 } as const;
  switch (kind) {
    case 'debits': {
      const own = (i: number) =>
        tokens ? keyed.replace('\r\n', `\r\nAuthorization: Bearer ${tokens[i]!}\r\n`) : keyed;
      const starts = ids.map((id, i) => `POST /v1/wallets/${id}/debits${own(i)}`);
      const end = withBody('{"amount":"1.00"}');
      return { ...one, next: () => starts[draw()]! + randomUUID() + end };
    }
    case 'transfers':
      return { ...one, next: transfers(`POST /v1/transfers${keyed}`, ids, draw) };
    case 'batches':
      return { ...one, next: batches(`POST /v1/transactions/batch${keyed}`, ids, draw), ...BATCH };
    case 'balances': {
      const all = ids.map((id) => `GET /v1/wallets/${id}/balance${head}\r\n`);
      return { ...one, expected: '200', next: () => all[draw()]! };
    }
  }
}

function withBody(body: string): string {
  return `\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function transfers(start: string, ids: string[], draw: () => number): () => string {
  return () => {
    const from = draw();
    let to = draw();
    while (to === from) to = draw();
    const body = `{"from_wallet_id":"${ids[from]!}","to_wallet_id":"${ids[to]!}","amount":"1.00"}`;
    return start + randomUUID() + withBody(body);
  };
}

function batches(start: string, ids: string[], draw: () => number): () => string {
  const items = ids.map((id) => `{"type":"debit","wallet_id":"${id}","amount":"1.00"}`);
  return () => {
    const drawn = Array.from({ length: BATCH_ITEMS }, () => items[draw()]!);
    return start + randomUUID() + withBody(`{"atomic":false,"items":[${drawn.join(',')}]}`);
  };
}

/**
 * Every item's own status is looked at: a refused item is not a posting. It is searched for, not parsed: an answer of
 * 500 items is 310 KB. Should the form of the body change, nothing is found and every item counts as refused.
 */
const ITEM_POSTED = Buffer.from('{"status":"posted","transaction":{');
const BATCH = {
  operations: BATCH_ITEMS,
  doneIn(answer: Buffer): number {
    let posted = 0;
    for (let at = answer.indexOf(ITEM_POSTED); at >= 0; at = answer.indexOf(ITEM_POSTED, at + ITEM_POSTED.length)) {
      posted++;
    }
    return posted;
  },
};

/** Draws 0 … n - 1 where the k-th busiest comes 1/k^s as often as the busiest. */
function zipfian(n: number, s: number): () => number {
  const cumulative = new Float64Array(n);
  let sum = 0;
  for (let k = 0; k < n; k++) cumulative[k] = sum += 1 / (k + 1) ** s;
  return () => {
    const wanted = Math.random() * sum;
    let low = 0;
    for (let high = n - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (cumulative[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    // Busy wallets must not be neighbours on one page just because their ranks are: 7919 is prime, so this permutes.
    return (low * 7_919) % n;
  };
}
