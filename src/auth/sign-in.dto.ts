import { ApiProperty } from '@nestjs/swagger';
import { Matches } from 'class-validator';
import { IsId, IsText } from '../validation.js';
import { SESSION_EXAMPLE_ID } from './sessions.dto.js';

const CODE_EXAMPLE_ID = '0199a3c2-8d02-7a5c-8b30-4f1e0d9c8b21';
const REFRESH_TOKEN = { example: 'asper_rt_Zt0yqQ2mV5k8xW1nB4cE7fH0jL3oR6uX9aD2gJ5mP8s' };

export class AskForCodeDto {
  @ApiProperty({
    description: 'International (+91…), or national digits of the default region.',
    maxLength: 32,
    example: '+919876543210',
  })
  @IsText(32)
  phone_number: string;
}

export class SignInDto {
  @ApiProperty({ format: 'uuid', description: 'The `id` of the code that was asked for.', example: CODE_EXAMPLE_ID })
  @IsId()
  code_id: string;

  @ApiProperty({ description: 'The six digits that came to the phone.', pattern: '^[0-9]{6}$', example: '082917' })
  @Matches(/^[0-9]{6}$/, { message: 'must be six digits' })
  code: string;
}

export class RefreshDto {
  @ApiProperty({ maxLength: 100, ...REFRESH_TOKEN })
  @IsText(100)
  refresh_token: string;
}

export class CodeBody {
  @ApiProperty({ format: 'uuid', example: CODE_EXAMPLE_ID }) id: string;
  @ApiProperty({ format: 'date-time', example: '2026-01-31T09:35:00.000Z' }) expires_at: string;
}

export class TokensBody {
  @ApiProperty({
    description: 'A JWT (RFC 9068), for `Authorization: Bearer`.',
    example: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTk5In0.c2lnbmF0dXJl',
  })
  access_token: string;
  @ApiProperty({ enum: ['Bearer'], example: 'Bearer' }) token_type: 'Bearer';
  @ApiProperty({ description: 'Seconds that the access token is good for.', example: 600 }) expires_in: number;
  @ApiProperty({ description: 'Good once: each renewal answers the next one.', ...REFRESH_TOKEN })
  refresh_token: string;
  @ApiProperty({
    ...{ format: 'date-time', example: '2026-03-02T09:30:00.000Z' },
    description: 'When the session ends if it is not renewed.',
  })
  refresh_expires_at: string;
  @ApiProperty({ format: 'uuid', example: SESSION_EXAMPLE_ID }) session_id: string;
  @ApiProperty({ format: 'uuid', example: '0199a3c2-7d53-7c0e-9a3b-5f1f0a9d2c11' }) user_id: string;
}

class KeyBody {
  @ApiProperty({ example: 'OKP' }) kty: string;
  @ApiProperty({ example: 'Ed25519' }) crv: string;
  @ApiProperty({ example: 'Sbk4RVGK1tDLVv2aZk8Bf6j9vUTzDv5vpeDm1vvNW6Q' }) x: string;
  @ApiProperty({ example: 'q7cJvjVUcRUxA6fNwYd0bHSdnLqpHTYPdvTJ3nfl9nI' }) kid: string;
  @ApiProperty({ example: 'sig' }) use: string;
  @ApiProperty({ example: 'EdDSA' }) alg: string;
}

export class KeySetBody {
  @ApiProperty({ type: [KeyBody] }) keys: KeyBody[];
}
