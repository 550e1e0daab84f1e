import { describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { ERRORS } from '../src/errors.js';

/** The catalogue as it must stand in docs/errors.md: one section for each row of the table, in its order. */
function catalogue(): string {
  const sections = Object.entries(ERRORS).map(
    ([code, { status, title, cause, fix, retryable }]) =>
      `## ${code}\n\n**${status} ${title}.** ${cause}\n\n${fix} Repeat unchanged: ${retryable ? 'yes' : 'no'}.\n`,
  );
  return `# Errors

Every error is \`application/problem+json\` (RFC 9457). \`code\` is for programs, \`detail\` for people, \`request_id\` for the
log, \`retryable\` says whether the same request can succeed later. \`type\` leads to a page that says the same as this one.
Where several apply, the first in this order is answered. The six original calls answer \`{"error": "…"}\` with 400 instead,
except for faults (5xx) and what is wrong with the credentials (401, 403, 429).

${sections.join('\n')}`;
}

describe('docs/errors.md', () => {
  it('says what the error table says, both ways (UPDATE_ERRORS=1 npm test -- errors writes it)', () => {
    if (process.env.UPDATE_ERRORS) writeFileSync('docs/errors.md', catalogue());
    expect(readFileSync('docs/errors.md', 'utf8')).toBe(catalogue());
  });
});
