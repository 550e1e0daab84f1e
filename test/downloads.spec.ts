import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { OPERATOR, type Principal } from '../src/caller.js';
import { Problem } from '../src/errors.js';
import { Downloads } from '../src/statements/downloads.js';

const key = (id: string): Principal => ({ scope: `key:${id}`, scopes: new Set() });
const person = (userId: string): Principal => ({ scope: `user:${userId}`, scopes: new Set(), userId });

describe('statements under way', () => {
  it('are five of a person, 200 of a key and of all, 50 more of servers, until each is closed or has failed', async () => {
    const downloads = new Downloads();
    const begin = (who: Principal) => downloads.begin(async () => new PassThrough(), who);
    const refusal = (who: Principal) =>
      begin(who).then(
        () => 'none',
        ({ code, extra }: Problem) => [code, extra.retryAfterSeconds],
      );
    const own = await Promise.all(Array.from({ length: 5 }, () => begin(person('a'))));
    expect(await refusal(person('a'))).toEqual(['rate_limited', 5]);
    expect(await refusal(person('b'))).toBe('none');
    own[0]!.destroy();
    await once(own[0]!, 'close');
    await expect(downloads.begin(() => Promise.reject(new Error('no database')), person('a'))).rejects.toThrow(
      'no database',
    );
    expect(await refusal(person('a'))).toBe('none');
    expect(await refusal(person('a'))).toEqual(['rate_limited', 5]);

    const others = await Promise.all(Array.from({ length: 194 }, () => begin(key('1'))));
    expect(await refusal(person('c'))).toEqual(['overloaded', 5]);
    others.push(...(await Promise.all(Array.from({ length: 6 }, () => begin(key('1'))))));
    expect(await refusal(key('1'))).toEqual(['rate_limited', 5]);
    others.push(...(await Promise.all(Array.from({ length: 44 }, () => begin(OPERATOR)))));
    expect(await refusal(OPERATOR)).toEqual(['overloaded', 5]);
    for (const content of others) content.destroy();
    await Promise.all(others.map((content) => once(content, 'close')));
    expect(await refusal(OPERATOR)).toBe('none');
  });
});
