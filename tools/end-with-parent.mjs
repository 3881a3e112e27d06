/** Loaded before a file that `runSource` runs: asks it to stop when the process that started it is gone. */
if (process.connected) {
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
  // so that what this process starts does not take the channel for its own
  delete process.env.NODE_CHANNEL_FD;
}
