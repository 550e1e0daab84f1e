import { Controller, Get, Header } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import cluster from 'node:cluster';
import { Needs } from '../auth/access.js';
import { Problem } from '../errors.js';
import { ApiErrors } from '../openapi.js';
import { Metrics } from './metrics.js';
import { metricsOfAll } from './worker.metrics.js';

@ApiTags('Operations')
@Controller('metrics')
export class MetricsController {
  constructor(private readonly metrics: Metrics) {}

  @Get()
  @Needs('metrics:read')
  @Header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8')
  @ApiOperation({
    summary: 'What the service counts and measures, for Prometheus',
    description:
      'Of all its workers together. Besides API keys it takes METRICS_TOKEN as bearer, also while the database is away.',
  })
  @ApiProduces('text/plain')
  @ApiOkResponse({ schema: { type: 'string', example: 'asper_posting_queue_length 0\n' } })
  @ApiErrors()
  async read(): Promise<string> {
    const text = cluster.isWorker ? await metricsOfAll() : await this.metrics.registry.metrics();
    if (text !== undefined) return text;
    throw new Problem('overloaded', 'A worker is just starting, or does not answer.', { retryAfterSeconds: 5 });
  }
}
