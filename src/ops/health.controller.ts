import { Controller, Get, Inject } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import { Public } from '../auth/access.js';
import { readFileSync } from 'node:fs';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import { ApiErrors } from '../openapi.js';
import { packageFile } from '../package-root.js';

const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };

class HealthBody {
  @ApiProperty({ enum: ['ok'], example: 'ok' }) status: 'ok';
}

class VersionBody {
  @ApiProperty({ example: '0.1.0' }) version: string;
  @ApiProperty({ example: 'v22.13.0' }) node: string;
  @ApiProperty({ enum: ['pessimistic', 'optimistic'], example: 'pessimistic' }) locking: string;
}

@ApiTags('Operations')
@Controller()
export class HealthController {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get('health/live')
  @Public()
  @ApiOperation({ summary: 'The process runs. Never touches the database' })
  @ApiOkResponse({ type: HealthBody })
  @ApiErrors()
  live(): HealthBody {
    return { status: 'ok' };
  }

  @Get('health/ready')
  @Public()
  @ApiOperation({ summary: 'The service can do its work: the database answers' })
  @ApiOkResponse({ type: HealthBody })
  @ApiErrors('database_unavailable')
  async ready(): Promise<HealthBody> {
    await this.dataSource.query('SELECT 1').catch(() => {
      throw new Problem('database_unavailable', 'The database does not answer.', { retryAfterSeconds: 1 });
    });
    return { status: 'ok' };
  }

  @Get('version')
  @Public()
  @ApiOperation({ summary: 'Which version runs' })
  @ApiOkResponse({ type: VersionBody })
  @ApiErrors()
  version(): VersionBody {
    return { version, node: process.version, locking: this.config.locking };
  }
}
