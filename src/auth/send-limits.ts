/**
 * How often codes are asked for and tried. All processes share the counters, which are in the database: when that is
 * down, nobody signs in, and nothing is unlimited.
 *
 * SECURITY: numbers and addresses stand in the table as HMACs, so that it is no list of them.
 */
import { Inject, Injectable } from '@nestjs/common';
import { isIPv4, isIPv6 } from 'node:net';
import type { Pool } from 'pg';
import RateLimiterPostgres from 'rate-limiter-flexible/lib/RateLimiterPostgres.js';
import RateLimiterRes from 'rate-limiter-flexible/lib/RateLimiterRes.js';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import { AuthSecret } from './auth-secret.js';
import { demandAwaited, type IsAwaited } from './awaited.js';
import { newTurns } from './turns.js';

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 24 * HOUR_SECONDS;
/** Who is counted by what a day may cost. */
const ALL = 'all';

@Injectable()
export class SendLimits {
  private readonly pool: Pool;
  private readonly perAddress: RateLimiterPostgres;
  private readonly perPrefix: RateLimiterPostgres;
  private readonly perNumberHour: RateLimiterPostgres;
  private readonly perNumberDay: RateLimiterPostgres;
  private readonly perDay: RateLimiterPostgres;
  private readonly triesPerAddress: RateLimiterPostgres;
  private readonly turns = newTurns();

  constructor(
    dataSource: DataSource,
    private readonly secret: AuthSecret,
    @Inject(CONFIG) config: Config,
  ) {
    this.pool = (dataSource.driver as unknown as { master: Pool }).master;
    this.perAddress = this.limiter('code_address', config.codesPerAddressHour, HOUR_SECONDS);
    this.perPrefix = this.limiter('code_prefix', config.codesPerPrefixHour, HOUR_SECONDS);
    this.perNumberHour = this.limiter('code_number_hour', config.codesPerNumberHour, HOUR_SECONDS);
    this.perNumberDay = this.limiter('code_number_day', config.codesPerNumberDay, DAY_SECONDS);
    this.perDay = this.limiter('code_day', config.codesPerDay, DAY_SECONDS);
    this.triesPerAddress = this.limiter('try_address', config.requestsPerMinuteAddress, MINUTE_SECONDS);
  }

  /**
   * Counts a code that is asked for. What an earlier limit refuses does not count towards the later ones.
   * @throws {Problem} `rate_limited`, whether or not anybody has the number.
   */
  async countCode(phoneNumber: string, address: string, isAwaited: IsAwaited): Promise<void> {
    await this.count(this.perAddress, networkOf(address), isAwaited);
    await this.count(this.perPrefix, phoneNumber.slice(0, -4), isAwaited);
    await this.count(this.perNumberHour, phoneNumber, isAwaited);
    await this.count(this.perNumberDay, phoneNumber, isAwaited);
    await this.demandDayLeft(isAwaited);
  }

  /**
   * Counts a code that is about to be sent. SECURITY: what is asked for numbers that nobody has costs nothing, and would otherwise
   * keep everybody from signing in for a day.
   * @throws {Problem} `rate_limited`
   */
  async countSent(): Promise<void> {
    await this.count(this.perDay, ALL, () => true);
  }

  /** Counts a code or refresh token that is tried. @throws {Problem} `rate_limited` */
  async countTry(address: string, isAwaited: IsAwaited): Promise<void> {
    await this.count(this.triesPerAddress, networkOf(address), isAwaited);
  }

  /** That today's total is not used up; for known and unknown numbers alike. */
  private async demandDayLeft(isAwaited: IsAwaited): Promise<void> {
    const key = await this.keyOf(ALL);
    const used = await this.turns(() => {
      demandAwaited(isAwaited);
      return this.perDay.get(key);
    });
    if (used && used.remainingPoints <= 0) throw rateLimited(used);
  }

  private async count(limiter: RateLimiterPostgres, who: string, isAwaited: IsAwaited): Promise<void> {
    const key = await this.keyOf(who);
    try {
      await this.turns(() => {
        demandAwaited(isAwaited);
        return limiter.consume(key);
      });
    } catch (error) {
      throw error instanceof RateLimiterRes ? rateLimited(error) : error;
    }
  }

  private async keyOf(who: string): Promise<string> {
    return (await this.secret.mac('limits', who)).toString('base64url');
  }

  private limiter(keyPrefix: string, points: number, duration: number): RateLimiterPostgres {
    return new RateLimiterPostgres({
      storeClient: this.pool,
      storeType: 'pool',
      tableName: 'rate_limits',
      tableCreated: true,
      keyPrefix,
      points,
      duration,
      // Who is over the limit is refused from memory: an attack takes the database no writes.
      inMemoryBlockOnConsumed: points,
      clearExpiredByTimeout: keyPrefix === 'code_day', // of the whole table, so one is enough
    });
  }
}

function rateLimited({ msBeforeNext }: RateLimiterRes): Problem {
  const retryAfterSeconds = Math.max(1, Math.ceil(msBeforeNext / 1_000));
  return new Problem('rate_limited', `Try again in ${retryAfterSeconds} seconds.`, { retryAfterSeconds });
}

/** Whom an address stands for: of IPv6 the /64 that one customer has, of IPv4 the address. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (isIPv4(mapped ?? address) || !isIPv6(address)) return mapped ?? address;
  const [head = '', tail = ''] = address.toLowerCase().split('%')[0]!.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const groups = [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right];
  return groups
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':');
}
