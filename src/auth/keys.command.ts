/** `asper keys`: API keys from the command line. The first one can come from nowhere else. */
import type { Command } from 'commander';
import { asOperator, DURATION, seconds, valid } from '../command.js';
import { PAGE_SIZE_MAX } from '../paging.js';
import {
  ApiKeyIdParam,
  CreateApiKeyDto,
  RevokeApiKeyDto,
  RotateApiKeyDto,
  type ApiKeyBody,
  type SecretBody,
} from './api-keys.dto.js';
import { ApiKeysService } from './api-keys.service.js';
import { ROLES, SCOPES } from './scopes.js';

const REASON = 'by command';

interface CreateOptions {
  name: string;
  role?: string;
  scopes?: string;
  expiresIn?: string;
  allow?: string[];
  rate?: string;
  reason: string;
  json?: boolean;
}

/** Declares `asper keys create|list|rotate|revoke`. */
export function declareKeys(program: Command): void {
  const keys = program.command('keys').description('the API keys that servers and operators call with');
  keys
    .command('create')
    .description('make a key and print its secret, once. Roles: ' + Object.keys(ROLES).join(', '))
    .requiredOption('--name <name>', 'who uses it: a service, or a human')
    .option('--role <role>', 'the usual scopes of a reader, a server or an operator')
    .option('--scopes <list>', `scopes, separated by commas: ${Object.keys(SCOPES).join(', ')}`)
    .option('--expires-in <time>', `when it ends, ${DURATION}; by default never`)
    .option('--allow <networks...>', 'addresses and networks that it may be used from; by default all')
    .option('--rate <number>', 'requests a minute; by default as the service has it')
    .option('--reason <text>', 'why, for the audit log', REASON)
    .option('--json', 'print the whole key as JSON')
    .action((options: CreateOptions) => {
      const dto = readCreate(options);
      return asOperator(ApiKeysService, async (service, caller) =>
        print((await service.create(dto, caller)).body, options),
      );
    });
  keys
    .command('list')
    .description('list the keys, without their secrets')
    .option('--json', 'one key a line, as JSON')
    .action((options: { json?: boolean }) => asOperator(ApiKeysService, (service) => list(service, options)));
  keys
    .command('rotate <id>')
    .description('give a key a new secret and print it, once; the one before stays good for a while')
    .option('--overlap <time>', `for how long, ${DURATION}`, '24h')
    .option('--reason <text>', 'why, for the audit log', REASON)
    .option('--json', 'print the whole key as JSON')
    .action((id: string, options: { overlap: string; reason: string; json?: boolean }) => {
      const { key_id } = valid(ApiKeyIdParam, { key_id: id });
      const dto = valid(RotateApiKeyDto, {
        overlap_seconds: seconds('--overlap', options.overlap),
        reason: options.reason,
      });
      return asOperator(ApiKeysService, async (service, caller) =>
        print((await service.rotate(key_id, dto, caller)).body, options),
      );
    });
  keys
    .command('revoke <id>')
    .description('end a key for good, within five seconds everywhere')
    .requiredOption('--reason <text>', 'why, for the audit log')
    .action((id: string, options: { reason: string }) => {
      const { key_id } = valid(ApiKeyIdParam, { key_id: id });
      const dto = valid(RevokeApiKeyDto, options);
      return asOperator(ApiKeysService, async (service, caller) => {
        const { body } = await service.revoke(key_id, dto, caller);
        console.error(`Revoked ${body.id} (${body.name}).`);
      });
    });
}

/** @throws {UsageError} */
function readCreate(options: CreateOptions): CreateApiKeyDto {
  const expiresInSeconds = options.expiresIn === undefined ? undefined : seconds('--expires-in', options.expiresIn);
  return valid(CreateApiKeyDto, {
    name: options.name,
    reason: options.reason,
    ...(options.role !== undefined && { role: options.role }),
    ...(options.scopes !== undefined && { scopes: options.scopes.split(',').map((scope) => scope.trim()) }),
    ...(expiresInSeconds !== undefined && {
      expires_at: new Date(Date.now() + expiresInSeconds * 1_000).toISOString(),
    }),
    ...(options.allow !== undefined && { allowed_addresses: options.allow }),
    ...(options.rate !== undefined && { requests_per_minute: Number(options.rate) }),
  });
}

async function list(service: ApiKeysService, { json }: { json?: boolean }): Promise<void> {
  let cursor: string | undefined;
  do {
    const page = await service.list({ limit: PAGE_SIZE_MAX, cursor });
    for (const key of page.data) console.log(json ? JSON.stringify(key) : line(key));
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
}

function line(key: ApiKeyBody): string {
  const state = key.revoked_at
    ? 'revoked'
    : (key.expires_at ?? '') && Date.parse(key.expires_at!) <= Date.now()
      ? 'expired'
      : 'good';
  return [
    key.id,
    state.padEnd(7),
    `…${key.secret_hint}`,
    (key.last_used_at ?? 'never used').padEnd(24),
    key.name,
    `(${key.scopes.join(' ')})`,
  ].join('  ');
}

/** The secret alone on stdout, so that a script can take it; everything else is for whoever looks on. */
function print(key: SecretBody, { json }: { json?: boolean }): void {
  if (json) return console.log(JSON.stringify(key));
  console.error(`${key.name}: ${key.id}, ${key.scopes.join(' ')}. The secret is shown this once:`);
  console.log(key.secret);
}
