/** The reference for reads: the service's own Nest and Fastify set-up around a route that does nothing. */
import { Controller, Get, Module } from '@nestjs/common';
import { createApp } from '../src/app.setup.js';
import { readConfig } from '../src/config.js';

@Controller('v1/wallets/:wallet_id')
class EmptyController {
  @Get('balance')
  balance() {
    return { balance: '0.00' };
  }
}

@Module({ controllers: [EmptyController] })
class EmptyModule {}

const config = readConfig(process.env);
const app = await createApp(config, EmptyModule);
await app.listen(config.port, config.host);
process.once('SIGTERM', () => void app.close().then(() => process.exit(0)));
console.log(`the empty route listens on ${await app.getUrl()}`);
