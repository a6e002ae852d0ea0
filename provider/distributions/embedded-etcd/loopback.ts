/** How a server reaches itself: by IPv4, unless it has none. */
export function loopbackOf(address: string): string {
  return address.includes(":") ? "[::1]" : "127.0.0.1";
}
