# The build runs in the full image; what ships is the compiled service and its production packages.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without scripts: the embedded PostgreSQL is for development, a container is given DATABASE_URL.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json nest-cli.json ormconfig.ts ./
COPY src src
COPY migrations migrations
RUN npm run build && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:24-slim
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
ENV HOST=0.0.0.0 PORT=5000
USER node
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# node itself is process 1, so SIGTERM reaches it.
# A larger nursery: requests that wait for a group die young there. With 32 P1 takes 5 to 10 % less processor time, but a
# statement of a million entries 60 MB instead of 27.
CMD ["node", "--max-semi-space-size=16", "dist/src/main.js"]
