import { Module } from '@nestjs/common';
import { ErrorsController } from './errors.controller.js';
import { HealthController } from './health.controller.js';

@Module({ controllers: [HealthController, ErrorsController] })
export class OpsModule {}
