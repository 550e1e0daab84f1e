/** Tables of the docs that are made from the code: scopes, who may do what (from the OpenAPI document), types of events. */
import { describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Access } from '../src/auth/access.js';
import { EVENT_TYPES } from '../src/events/event-types.js';
import { ROLES, SCOPES, type Scope } from '../src/auth/scopes.js';

interface Operation {
  summary: string;
  'x-access': Access;
}
const OWN: Record<string, string> = {
  wallet_id: 'own wallet',
  hold_id: 'of own wallet',
  schedule_id: 'of own wallet',
  transaction_id: 'with an entry in own wallet',
  user_id: 'themself',
  self: 'own',
};

function accessTable(): string {
  const { paths } = JSON.parse(readFileSync('openapi.json', 'utf8')) as {
    paths: Record<string, Record<string, Operation>>;
  };
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { 'x-access': access }]) => {
      const [key, person] = allowed(access);
      return `| \`${method.toUpperCase()} ${path}\` | ${key} | ${person} |`;
    }),
  );
  return ['| call | API key with scope | person |', '| --- | --- | --- |', ...rows].join('\n');
}

function allowed(access: Access): [key: string, person: string] {
  if (access.kind === 'public') return ['everybody', 'everybody'];
  if (access.kind === 'anyone') return ['any', 'yes'];
  if (access.kind === 'person') return ['', 'yes'];
  return [`\`${access.scope}\``, access.own ? OWN[access.own]! : ''];
}

function scopeTable(): string {
  const rolesOf = (scope: Scope) =>
    Object.entries(ROLES).flatMap(([role, scopes]) => ((scopes as readonly Scope[]).includes(scope) ? [role] : []));
  const rows = Object.entries(SCOPES).map(
    ([scope, what]) => `| \`${scope}\` | ${what} | ${rolesOf(scope as Scope).join(', ')} |`,
  );
  return ['| scope | lets a key | in the roles |', '| --- | --- | --- |', ...rows].join('\n');
}

function typeTable(): string {
  const rows = Object.entries(EVENT_TYPES).map(([type, what]) => `| \`${type}\` | ${what} |`);
  return ['| type | what happened |', '| --- | --- |', ...rows].join('\n');
}

describe('a table of the docs', () => {
  it.each([
    ['docs/security.md', 'scopes', scopeTable],
    ['docs/security.md', 'access', accessTable],
    ['docs/events.md', 'types', typeTable],
  ])('in %s says of %s what the code says (UPDATE_DOCS=1 npm test -- doc-tables writes it)', (file, name, table) => {
    const [begin, end] = [`<!-- ${name} -->\n\n`, `<!-- end of ${name} -->`];
    const text = readFileSync(file, 'utf8');
    const [before, rest] = text.split(begin);
    const [, after] = rest!.split(end);
    const made = `${begin}${table()}\n\n${end}`;
    if (process.env.UPDATE_DOCS) writeFileSync(file, before + made + after);
    expect(readFileSync(file, 'utf8')).toContain(made);
  });
});
