import { Controller, Get, Inject } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import { Public } from '../auth/access.js';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../config.js';
import { Problem } from '../errors.js';
import { missingMigrations } from '../database/migrate.js';
import { InFlight } from '../in-flight.js';
import { ApiErrors } from '../openapi.js';
import { packageFile } from '../package-root.js';

const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };

/** Whoever asks waits about as long. */
const READY_MS_MAX = 2_000;

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
  private looking?: Promise<string | undefined>;

  constructor(
    private readonly dataSource: DataSource,
    private readonly inFlight: InFlight,
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
  @ApiOperation({
    summary: 'It can do its work: the database answers, its schema is new enough, and it is not about to stop',
  })
  @ApiOkResponse({ type: HealthBody })
  @ApiErrors('database_unavailable', 'shutting_down')
  async ready(): Promise<HealthBody> {
    if (this.inFlight.isDraining) {
      throw new Problem('shutting_down', 'This process is about to stop.', { retryAfterSeconds: 1 });
    }
    const problem = await Promise.race([this.look(), late()]);
    if (problem) throw new Problem('database_unavailable', problem, { retryAfterSeconds: 1 });
    return { status: 'ok' };
  }

  /** One look for all who ask at the same time: whoever asks thousands of times a second takes one connection, and not all. */
  private look(): Promise<string | undefined> {
    if (this.looking) return this.looking;
    const looking = (this.looking = this.databaseProblem());
    const forget = () => {
      if (this.looking === looking) this.looking = undefined;
    };
    const timer = setTimeout(forget, READY_MS_MAX).unref(); // one that hangs must not hide that the database is back
    void looking.then(() => {
      clearTimeout(timer);
      forget();
    });
    return looking;
  }

  private async databaseProblem(): Promise<string | undefined> {
    const missing = await missingMigrations(this.dataSource).catch(() => undefined);
    if (!missing) return 'The database does not answer.';
    return missing.length > 0 ? 'The schema is older than this build: run `asper migrate`.' : undefined;
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

async function late(): Promise<string> {
  await delay(READY_MS_MAX, undefined, { ref: false });
  return `The database does not answer within ${READY_MS_MAX} ms.`;
}
