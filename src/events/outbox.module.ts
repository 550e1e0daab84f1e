import { Global, Module } from '@nestjs/common';
import { EventPositions } from './event-positions.js';
import { Outbox } from './outbox.service.js';

@Global()
@Module({ providers: [Outbox, EventPositions], exports: [Outbox, EventPositions] })
export class OutboxModule {}
