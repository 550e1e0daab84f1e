import { Global, Module } from '@nestjs/common';
import { DatabaseGauges } from './database.gauges.js';
import { Metrics } from './metrics.js';
import { MetricsController } from './metrics.controller.js';

@Global()
@Module({ controllers: [MetricsController], providers: [Metrics, DatabaseGauges], exports: [Metrics] })
export class TelemetryModule {}
