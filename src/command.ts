/** What the commands share: they call the same services as the HTTP API, with the same checks, as an operator. */
import type { Type } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import { validateSync } from 'class-validator';
import { userInfo } from 'node:os';
import { OPERATOR, type Caller } from './caller.js';
import { commandConfig } from './config.js';
import { Problem } from './errors.js';
import { withDatabase, withService } from './import/open-service.js';
import { UsageError } from './usage-error.js';

export const DURATION = 'such as 90d, 24h, 30m or 10s';
const SECONDS_MAX = 100 * 365 * 86_400;
const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/**
 * Runs `work` with a service as the person at the command line, who may do everything: they hold the database's password.
 * @throws {UsageError} with what the service refused
 */
export async function asOperator<Service>(
  type: Type<Service>,
  work: (service: Service, caller: Caller) => Promise<void>,
): Promise<void> {
  const caller: Caller = { ...OPERATOR, scope: `cli:${userName()}` };
  try {
    await withDatabase(commandConfig(), console.error, (config) =>
      withService(config, (app) => work(app.get(type, { strict: false }), caller)),
    );
  } catch (error) {
    if (error instanceof Problem && error.status < 500) throw new UsageError(error.detail);
    throw error;
  }
}

/** In a container the user may have a number and no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

/** What the HTTP API would accept. @throws {UsageError} naming the mistakes */
export function valid<Dto extends object>(type: new () => Dto, plain: object): Dto {
  const dto = plainToInstance(type, plain);
  const mistakes = validateSync(dto, { whitelist: true, forbidNonWhitelisted: true }).map(
    ({ property, constraints }) => `${property} ${Object.values(constraints ?? {}).join(', ')}`,
  );
  if (mistakes.length > 0) throw new UsageError(mistakes.join('; '));
  return dto;
}

/** The seconds of a time such as 24h. @throws {UsageError} where it is none */
export function seconds(option: string, text: string): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (unit === undefined || Number(count) * SECONDS[unit]! > SECONDS_MAX)
    throw new UsageError(`${option} must be a time ${DURATION}, not "${text}"`);
  return Number(count) * SECONDS[unit]!;
}
