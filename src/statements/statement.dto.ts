import { applyDecorators } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiProperty,
  ApiPropertyOptional,
  ApiResponse,
  getSchemaPath,
  PickType,
} from '@nestjs/swagger';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import { EntryBody } from './statements.dto.js';
import { SummaryQuery, TotalsBody } from './summary.dto.js';

export class StatementQuery extends PickType(SummaryQuery, ['start_date', 'end_date', 'time_zone']) {}

/** The forms of a statement, the default first. */
export const STATEMENT_TYPES = ['application/json', 'text/csv', 'application/pdf'] as const;
export type StatementType = (typeof STATEMENT_TYPES)[number];

export class HolderBody {
  @ApiProperty({ format: 'uuid', example: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11' }) user_id: string;
  @ApiProperty({ example: '+919876543210' }) phone_number: string;
}

export class StatementBody extends TotalsBody {
  @ApiProperty({ format: 'uuid', example: WALLET_EXAMPLE_ID }) wallet_id: string;
  @ApiPropertyOptional({
    type: HolderBody,
    description: 'Absent where the wallet belongs to the house.',
    example: { user_id: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11', phone_number: '+919876543210' },
  })
  holder?: HolderBody;
  @ApiProperty({ example: 'main' }) label: string;
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({
    type: String,
    format: 'date',
    nullable: true,
    description: 'Null: the beginning.',
    example: '2026-01-01',
  })
  start_date: string | null;
  @ApiProperty({ format: 'date', example: '2026-01-31' }) end_date: string;
  @ApiProperty({ example: 'Asia/Kolkata' }) time_zone: string;
  @ApiProperty({ type: [EntryBody], description: 'In the order of posting. They come last in the text.' })
  lines: EntryBody[];
}

const CSV_EXAMPLE = [
  'seq,posted_at,effective_at,type,description,reference,transaction_id,credit,debit,balance',
  ',2025-12-31T18:30:00.000Z,,opening,,,,,,500.00',
  `2,2026-01-31T09:30:00.000Z,2026-01-31T09:30:00.000Z,debit,Order 1042,order-1042,0199a3c2-a0d4-7b61-9f0e-3c8d1e5b7a44,,150.00,350.00`,
  ',2026-01-31T18:30:00.000Z,,closing,,,,,,350.00',
  '',
].join('\r\n');

/** Documents the 200 of a statement in each of its forms. */
export function ApiStatement() {
  return applyDecorators(
    ApiExtraModels(StatementBody),
    ApiResponse({
      status: 200,
      description:
        'The statement in the form that `Accept` asks for, JSON by default. It is written while it is read; a connection ' +
        'that is cut before the end means that it is not complete.',
      headers: {
        'Content-Disposition': {
          description: 'A name for the file.',
          schema: { type: 'string' },
          example: 'attachment; filename="statement-2026-01-01-2026-01-31.csv"',
        },
      },
      content: {
        'application/json': { schema: { $ref: getSchemaPath(StatementBody) } },
        'text/csv': { schema: { type: 'string' }, example: CSV_EXAMPLE },
        'application/pdf': { schema: { type: 'string', format: 'binary' } },
      },
    }),
  );
}
