import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsId, MayBeAbsent } from '../validation.js';
import { WALLET_EXAMPLE_ID } from '../wallets/wallets.dto.js';
import type { CheckResult } from './ledger.checker.js';
import type { Finding } from './law.js';

export class CheckQuery {
  @ApiPropertyOptional({
    format: 'uuid',
    description: 'Only this wallet, and the transactions, holds and keys that it has a part in.',
    example: WALLET_EXAMPLE_ID,
  })
  @MayBeAbsent()
  @IsId()
  wallet_id?: string;
}

export class FindingBody implements Finding {
  @ApiProperty({ example: 'balance is history' }) law: string;
  @ApiProperty({ example: 'wallets' }) table: string;
  @ApiProperty({
    description: 'Primary key; the parts of a composite one are separated by /.',
    example: WALLET_EXAMPLE_ID,
  })
  row: string;
  @ApiProperty({
    description: 'What is there against what is expected, amounts in minor units.',
    example: 'balance is 15001, its last entry says 15000',
  })
  detail: string;
}

export class CheckBody {
  @ApiProperty({ description: 'Every law holds.', example: true }) is_sound: boolean;
  @ApiProperty({ description: 'Checked.', example: 47140 }) entries: number;
  @ApiProperty({ example: 602 }) wallets: number;
  @ApiProperty({ example: 23570 }) transactions: number;
  @ApiProperty({ description: 'Rows that break a law.', example: 0 }) broken_rows: number;
  @ApiProperty({ type: [FindingBody], description: 'Of each law the first 1,000.', example: [] })
  findings: FindingBody[];
}

export function checkBody({ isSound, entryCount, walletCount, transactionCount, breaches }: CheckResult): CheckBody {
  return {
    is_sound: isSound,
    entries: entryCount,
    wallets: walletCount,
    transactions: transactionCount,
    broken_rows: breaches.reduce((sum, { count }) => sum + count, 0),
    findings: breaches.flatMap(({ findings }) => findings),
  };
}

export class WalletsTotalBody {
  @ApiProperty({ description: 'How many.', example: 601 }) wallets: number;
  @ApiProperty({ description: 'Sum of their balances.', example: '150.00' }) balance: string;
  @ApiProperty({ description: 'Of it reserved by holds.', example: '0.00' }) held: string;
}

const TOTAL = { wallets: 601, balance: '150.00', held: '0.00' };
const NOTHING = { wallets: 0, balance: '0.00', held: '0.00' };

export class CurrencyBalanceBody {
  @ApiProperty({ example: 'INR' }) currency: string;
  @ApiProperty({ type: WalletsTotalBody, description: 'Wallets of users.', example: TOTAL })
  people: WalletsTotalBody;
  @ApiProperty({ type: WalletsTotalBody, description: 'Wallets without a user.', example: NOTHING })
  house: WalletsTotalBody;
  @ApiProperty({
    description: 'The world outside: what went out less what came in, over all of its wallets.',
    example: '-150.00',
  })
  external: string;
  @ApiProperty({ description: 'People, house and external together: zero.', example: '0.00' }) total: string;
  @ApiProperty({ description: 'All that ever left a wallet.', example: '500.00' }) total_debit: string;
  @ApiProperty({ description: 'All that ever came into one: the same.', example: '500.00' }) total_credit: string;
  @ApiProperty({ example: true }) is_balanced: boolean;
}

export class TrialBalanceBody {
  @ApiProperty({ description: 'Every currency adds up to zero.', example: true }) is_balanced: boolean;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:30:00.000Z' }) at: string;
  @ApiProperty({ type: [CurrencyBalanceBody] }) currencies: CurrencyBalanceBody[];
}
