import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startService, type Service } from './support/service.js';

describe('the six original calls', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  const send = async (method: string, path: string, body?: unknown) => {
    const { status, text } = await service.api.call(method, path, body);
    return `${status} ${text}`;
  };
  const idIn = (text: string) => /"(?:user|wallet)_id":"([^"]+)"/.exec(text)![1]!;

  it('work one after the other as written', async () => {
    const registered = await send('POST', '/register', { phone_number: '1234567890' });
    expect(registered).toMatch(/^201 \{"message":"User created successfully","user_id":"[0-9a-f-]{36}"\}$/);
    const user_id = idIn(registered);
    const created = await send('POST', '/wallet/create', { user_id });
    expect(created).toMatch(/^201 \{"wallet_id":"[0-9a-f-]{36}"\}$/);
    const wallet_id = idIn(created);
    expect(await send('POST', '/wallet/create', { user_id })).toBe(
      '400 {"error":"Wallet already exists for this user"}',
    );
    expect(await send('POST', '/wallet/credit', { wallet_id, amount: 50 })).toBe(
      '400 {"error":"You need to add minimum 100"}',
    );
    expect(await send('POST', '/wallet/credit', { wallet_id, amount: 100 })).toBe('200 {"new_balance":100.00}');
    expect(await send('POST', '/wallet/debit', { wallet_id, amount: 500 })).toBe(
      '400 {"error":"Insufficient balance"}',
    );
    expect(await send('POST', '/wallet/credit', { wallet_id, amount: 900.5 })).toBe('200 {"new_balance":1000.50}');
    expect(await send('POST', '/wallet/debit', { wallet_id, amount: 500 })).toBe('200 {"new_balance":500.50}');
    expect(await send('POST', '/wallet/debit', { wallet_id, amount: 450 })).toBe(
      '400 {"error":"Balance cannot drop below minimum required balance of 100"}',
    );
    expect(await send('POST', '/wallet/debit', { wallet_id, amount: 300, minimum_balance: 250 })).toBe(
      '400 {"error":"Balance cannot drop below minimum required balance of 250"}',
    );
    expect(await send('GET', `/wallet/balance/${wallet_id}`)).toBe('200 {"balance":500.50}');
    const day = new Date().toISOString().slice(0, 10);
    const history = await send('GET', `/wallet/transactions?wallet_id=${wallet_id}&start_date=${day}&end_date=${day}`);
    expect(history.replace(/"date":"[^"]+"/g, '"date":"…"')).toBe(
      '200 {"total_credit":1000.50,"total_debit":500.00,"history":[{"amount":100.00,"type":"credit","date":"…"},' +
        '{"amount":900.50,"type":"credit","date":"…"},{"amount":500.00,"type":"debit","date":"…"}]}',
    );
    expect(
      await send('GET', `/wallet/transactions?wallet_id=${wallet_id}&start_date=2024-01-01&end_date=2024-12-31`),
    ).toBe('200 {"total_credit":0.00,"total_debit":0.00,"history":[]}');
  });

  it('pass over what they do not know, in bodies and queries', async () => {
    const more = { foo: 1, currency: 'USD', description: 'x', dry_run: true };
    const user_id = idIn(await send('POST', '/register?foo=1', { phone_number: '7890123456', ...more }));
    const wallet_id = idIn(await send('POST', '/wallet/create', { user_id, ...more }));
    expect(await send('POST', '/wallet/credit?dry_run=true', { wallet_id, amount: 200, ...more })).toBe(
      '200 {"new_balance":200.00}',
    );
    expect(await send('POST', '/wallet/debit', { wallet_id, amount: 50, ...more })).toBe('200 {"new_balance":150.00}');
    expect(await send('GET', `/wallet/balance/${wallet_id}?foo=1`)).toBe('200 {"balance":150.00}');
    expect(await send('GET', `/wallet/transactions?wallet_id=${wallet_id}&limit=1&dry_run=true`)).toMatch(
      /^200 \{"total_credit":200\.00,"total_debit":50\.00,/,
    );
    expect(await send('POST', '/wallet/credit', { wallet_id, amount: 'x', ...more })).toMatch(
      /^400 \{"error":"amount /,
    );
  });

  it('answer the totals of the very history they answer, while money comes in', async () => {
    const user_id = idIn(await send('POST', '/register', { phone_number: '3456789012' }));
    const wallet_id = idIn(await send('POST', '/wallet/create', { user_id }));
    let isOpen = true;
    const writer = async () => {
      while (isOpen) await send('POST', '/wallet/credit', { wallet_id, amount: 100 });
    };
    const writers = Array.from({ length: 20 }, writer);
    const read = () =>
      service.api.get<{ total_credit: number; history: Array<{ amount: number }> }>(
        `/wallet/transactions?wallet_id=${wallet_id}`,
      );
    const answers = [];
    for (let i = 0; i < 50; i++) answers.push((await read()).body);
    isOpen = false;
    await Promise.all(writers);
    const totals = answers.map(({ total_credit }) => total_credit);
    expect(answers.map(({ history }) => history.reduce((sum, { amount }) => sum + amount, 0))).toEqual(totals);
    expect(new Set(totals).size).toBeGreaterThan(10);
  });

  it('answer mistakes with {"error": …} and 400', async () => {
    const nobody = '0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90';
    expect(await send('POST', '/register', { phone_number: '1234567890' })).toBe('400 {"error":"User already exists"}');
    expect(await send('POST', '/register', {})).toMatch(
      /^400 \{"error":"phone_number is missing: it must be a text"\}$/,
    );
    expect(await send('POST', '/register', '{')).toMatch(/^400 \{"error":"/);
    expect(await send('POST', '/wallet/create', { user_id: nobody })).toBe('400 {"error":"User not found"}');
    expect(await send('POST', '/wallet/credit', { wallet_id: nobody, amount: 1 })).toBe(
      '400 {"error":"Wallet not found"}',
    );
    expect(await send('POST', '/wallet/credit', { wallet_id: nobody, amount: -1 })).toMatch(
      /^400 \{"error":"amount must be/,
    );
    expect(await send('GET', `/wallet/balance/${nobody}`)).toBe('400 {"error":"Wallet not found"}');
    expect(await send('GET', '/wallet/transactions')).toMatch(/^400 \{"error":"wallet_id is missing: it must be/);
  });

  it('take a key, and mark what is a repeat, refusals too', async () => {
    const repeated = async (path: string, body: object) => {
      const key = { 'idempotency-key': path };
      const first = await service.api.call('POST', path, body, key);
      const again = await service.api.call('POST', path, body, key);
      expect([again.status, again.text]).toEqual([first.status, first.text]);
      const marks = [first, again].map(({ headers }) => headers.get('idempotency-replayed'));
      expect(marks).toEqual([null, 'true']);
      return first.text;
    };
    const user_id = idIn(await repeated('/register', { phone_number: '4567890123' }));
    const wallet_id = idIn(await repeated('/wallet/create', { user_id }));
    expect(await repeated('/wallet/debit', { wallet_id, amount: 1 })).toBe('{"error":"Insufficient balance"}');
    expect(await repeated('/wallet/credit', { wallet_id, amount: 100 })).toBe('{"new_balance":100.00}');
  });

  it('keep the exact balance under five writers of a hundred debits each', async () => {
    const user_id = idIn(await send('POST', '/register', { phone_number: '2345678901' }));
    const wallet_id = idIn(await send('POST', '/wallet/create', { user_id }));
    await send('POST', '/wallet/credit', { wallet_id, amount: 3105 });
    const writer = async () => {
      const answers: string[] = [];
      for (let i = 0; i < 100; i++) answers.push(await send('POST', '/wallet/debit', { wallet_id, amount: 10 }));
      return answers;
    };
    const answers = (await Promise.all(Array.from({ length: 5 }, writer))).flat();
    const paid = answers.filter((answer) => answer.startsWith('200'));
    expect(paid).toHaveLength(300);
    expect(new Set(paid).size).toBe(300);
    expect(new Set(answers.filter((answer) => !answer.startsWith('200')))).toEqual(
      new Set(['400 {"error":"Balance cannot drop below minimum required balance of 100"}']),
    );
    expect(await send('GET', `/wallet/balance/${wallet_id}`)).toBe('200 {"balance":105.00}');
  });
});
