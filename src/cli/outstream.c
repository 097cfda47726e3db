/* cli/outstream.c: buffered output with a sticky errno.
 *
 * stdio forgets why a write failed, and `chunkmill values ... > /full/disk` must say so. A write
 * that a signal interrupts is repeated unless the signal asked the program to stop: a reader that
 * does not read must not make Ctrl-C useless.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/outstream.h"

void cm_cli_out_init(cm_cli_out *out, int fd)
{
    out->fd = fd;
    out->os_errno = 0;
    out->paint = false;
    out->put = 0;
    out->n = 0;
}

static void drain(cm_cli_out *out)
{
    size_t done = 0;
    while (done < out->n && !out->os_errno) {
        ssize_t w = write(out->fd, out->buf + done, out->n - done);
        if (w >= 0)
            done += (size_t)w;
        else if (errno != EINTR || cm_cli_interrupt_signal())
            out->os_errno = errno;
    }
    out->n = 0;
}

void cm_cli_out_bytes(cm_cli_out *out, const char *bytes, size_t nbytes)
{
    out->put += nbytes;
    while (nbytes > 0) {
        size_t room = sizeof out->buf - out->n, part = nbytes < room ? nbytes : room;
        memcpy(out->buf + out->n, bytes, part);
        out->n += part;
        bytes += part;
        nbytes -= part;
        if (out->n == sizeof out->buf)
            drain(out);
    }
}

void cm_cli_out_text(cm_cli_out *out, const char *text)
{
    cm_cli_out_bytes(out, text, strlen(text));
}

void cm_cli_out_char(cm_cli_out *out, char c)
{
    cm_cli_out_bytes(out, &c, 1);
}

void cm_cli_out_format(cm_cli_out *out, const char *format, ...)
{
    char line[4096];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    cm_cli_out_text(out, line);
}

void cm_cli_out_spaces(cm_cli_out *out, size_t n)
{
    while (n-- > 0)
        cm_cli_out_char(out, ' ');
}

void cm_cli_out_style(cm_cli_out *out, cm_cli_style style)
{
    static const char *const codes[] = {[CM_CLI_PLAIN] = "\033[0m",
                                        [CM_CLI_BOLD] = "\033[1m",
                                        [CM_CLI_DIM] = "\033[2m",
                                        [CM_CLI_RED] = "\033[1;31m",
                                        [CM_CLI_YELLOW] = "\033[33m"};
    if (out->paint)
        cm_cli_out_text(out, codes[style]);
}

size_t cm_cli_utf8(const char *text, size_t nbytes, uint32_t *character)
{
    const unsigned char *s = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (nbytes == 0)
        return 0;
    size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (n == 0 || n > nbytes)
        return 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (n > 1 && (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)))
        return 0;
    *character = c;
    return n;
}

static void put_escaped(cm_cli_out *out, const char *bytes, size_t nbytes, bool quotes)
{
    for (size_t i = 0; i < nbytes;) {
        uint32_t c = 0;
        size_t n = cm_cli_utf8(bytes + i, nbytes - i, &c);
        if (n == 0) {
            cm_cli_out_text(out, "\xef\xbf\xbd");
            i++;
            continue;
        }
        if (c == '\\' || (c == '"' && quotes))
            cm_cli_out_format(out, "\\%c", (char)c);
        else if (c == '\n')
            cm_cli_out_text(out, "\\n");
        else if (c == '\t')
            cm_cli_out_text(out, "\\t");
        else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            cm_cli_out_format(out, "\\u%04x", (unsigned)c);
        else
            cm_cli_out_bytes(out, bytes + i, n);
        i += n;
    }
}

void cm_cli_out_quoted(cm_cli_out *out, const char *bytes, size_t nbytes)
{
    cm_cli_out_char(out, '"');
    put_escaped(out, bytes, nbytes, true);
    cm_cli_out_char(out, '"');
}

void cm_cli_out_name(cm_cli_out *out, const char *text)
{
    put_escaped(out, text, strlen(text), false);
}

int cm_cli_out_flush(cm_cli_out *out, cm_error *err)
{
    drain(out);
    if (!out->os_errno)
        return 0;
    if (out->os_errno == EINTR)
        return cm_error_set(err, CM_ECANCEL, "interrupted");
    int ret = cm_error_set_os(err, out->os_errno, "cannot be written");
    cm_error_object(err, "standard output");
    return ret;
}
