/** A statement as JSON, written piece by piece: all that is short first, the lines last. */
import { entryBody } from './statements.dto.js';
import type { StatementBody } from './statement.dto.js';
import type { Statement } from './statement.service.js';
import { totalsBody } from './summary.service.js';

/** @returns pieces of the text, one a page of lines. */
export async function* jsonOf(statement: Statement): AsyncGenerator<string> {
  const { wallet, holder } = statement;
  const head: Omit<StatementBody, 'lines'> = {
    wallet_id: wallet.id,
    ...(holder ? { holder: { user_id: holder.id, phone_number: holder.phoneNumber } } : {}),
    label: wallet.label,
    currency: wallet.currency,
    start_date: statement.startDay,
    end_date: statement.endDay,
    time_zone: statement.timeZone,
    ...totalsBody(statement.totals, wallet.currency),
  };
  yield `${JSON.stringify(head).slice(0, -1)},"lines":[`;
  let separator = '';
  for await (const rows of statement.pages) {
    yield separator + rows.map((row) => JSON.stringify(entryBody(row, wallet.currency))).join(',');
    separator = ',';
  }
  yield ']}';
}
