import { Module } from '@nestjs/common';
import { EventsModule } from '../events/events.module.js';
import { IdempotencyModule } from '../idempotency/idempotency.module.js';
import { DeliveriesService } from './deliveries.service.js';
import { WebhookDispatcher } from './webhook.dispatcher.js';
import { WebhookSecrets } from './webhook.secrets.js';
import { WebhookSender } from './webhook.sender.js';
import { WebhookStore } from './webhook.store.js';
import { WebhooksController } from './webhooks.controller.js';
import { WebhooksService } from './webhooks.service.js';

@Module({
  imports: [EventsModule, IdempotencyModule],
  controllers: [WebhooksController],
  providers: [WebhooksService, DeliveriesService, WebhookSecrets, WebhookSender, WebhookStore, WebhookDispatcher],
  exports: [DeliveriesService],
})
export class WebhooksModule {}
