/** The table of who may do what, in docs/security.md, is made from the OpenAPI document. */
import { describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Access } from '../src/auth/access.js';
import { ROLES, SCOPES, type Scope } from '../src/auth/scopes.js';

interface Operation {
  summary: string;
  'x-access': Access;
}
const FILE = 'docs/security.md';
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

describe(FILE, () => {
  it.each([
    ['scopes', scopeTable],
    ['access', accessTable],
  ])('says of %s what the code says (UPDATE_SECURITY=1 npm test -- security-docs writes it)', (name, table) => {
    const [begin, end] = [`<!-- ${name} -->\n\n`, `\n\n<!-- end of ${name} -->`];
    const text = readFileSync(FILE, 'utf8');
    const [before, rest] = text.split(begin);
    const [, after] = rest!.split(end);
    if (process.env.UPDATE_SECURITY) writeFileSync(FILE, before + begin + table() + end + after);
    expect(readFileSync(FILE, 'utf8')).toContain(begin + table() + end);
  });
});
