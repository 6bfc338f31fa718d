package kernlog

import (
	"bytes"
	"strconv"
	"time"
)

// clock reads the times of one file. Those without a year are of the year that
// brings them nearest before the last change of the file.
type clock struct {
	now func() time.Time
	// changed is when the file was last written to; zero for a stream.
	changed time.Time
	zone    *time.Location

	syslog, iso, unix, full, ctime, micros func([]byte) time.Time

	// minute is the last one that a syslog time was of, and at when it began:
	// most lines are of the same as the line before.
	minute [len("Nov 27 14:00:")]byte
	at     time.Time
}

// newClock makes the readers once: a record keeps one of them, and the bytes.
func newClock(now func() time.Time, changed time.Time, zone *time.Location) *clock {
	c := &clock{now: now, changed: changed, zone: zone}
	c.syslog, c.iso, c.unix = c.readSyslog, c.readISO, c.readUnix
	c.full, c.ctime, c.micros = c.readFull, c.readCtime, c.readMicros
	return c
}

const (
	// skew is how far a clock may be ahead of ours, with what it takes to read.
	skew = 5 * time.Minute
	// zones is how far the time of another time zone may be ahead of ours.
	zones = 26 * time.Hour
)

// readSyslog reads "Nov 27 14:00:01", with or without a fraction. The result
// never lies in the future: a time that is ahead by less than the zones differ is
// not known.
func (c *clock) readSyslog(b []byte) time.Time {
	sec, nsec := atoi(b[13:15]), 0
	if len(b) > 16 {
		nsec = fraction(b[16:])
	}
	if string(b[:13]) == string(c.minute[:]) && sec < 60 {
		return c.at.Add(time.Duration(sec)*time.Second + time.Duration(nsec))
	}
	now := c.now()
	ref := now
	if !c.changed.IsZero() && c.changed.Before(now) {
		ref = c.changed
	}
	// any second of a minute that is over is of the year that its first is of
	if at := c.dated(b, 0, 0, ref, now); !at.IsZero() && ref.Sub(at) > time.Minute {
		c.at = at
		copy(c.minute[:], b)
	}
	return c.dated(b, sec, nsec, ref, now)
}

// dated finds the year of a syslog time that is not after ref, nor now.
func (c *clock) dated(b []byte, sec, nsec int, ref, now time.Time) time.Time {
	month, day := monthOf(b), atoi(b[4:6])
	year := ref.In(c.zone).Year() + 1
	for tries := 0; tries < 10; tries++ { // a leap day may be eight years back
		t := time.Date(year, month, day, atoi(b[7:9]), atoi(b[10:12]), sec, nsec, c.zone)
		year--
		if t.Day() != day || t.Sub(ref) > zones {
			continue
		}
		switch ahead := t.Sub(now); {
		case ahead > skew:
			return time.Time{}
		case ahead > 0:
			return now
		}
		return t
	}
	return time.Time{}
}

// readISO reads an RFC 3339 time, with a point or a comma before the fraction,
// and a zone with or without colon.
func (c *clock) readISO(b []byte) time.Time {
	if len(b) < 19 || !isISO(b) {
		return time.Time{}
	}
	rest, nsec := b[19:], 0
	if len(rest) > 0 && (rest[0] == '.' || rest[0] == ',') {
		end := 1
		for end < len(rest) && '0' <= rest[end] && rest[end] <= '9' {
			end++
		}
		nsec, rest = fraction(rest[1:end]), rest[end:]
	}
	zone, ok := c.zoneOf(rest)
	if !ok {
		return time.Time{}
	}
	return civil(b, nsec, zone)
}

// civil makes a time of "2026-11-27T14:00:01"; zero where there is no such day.
func civil(b []byte, nsec int, zone *time.Location) time.Time {
	day := atoi(b[8:10])
	t := time.Date(atoi(b[:4]), time.Month(atoi(b[5:7])), day, atoi(b[11:13]), atoi(b[14:16]), atoi(b[17:19]), nsec, zone)
	if t.Day() != day {
		return time.Time{}
	}
	return t
}

// zoneOf reads "Z", "+0100", "+01:00"; nothing is the local zone.
func (c *clock) zoneOf(b []byte) (*time.Location, bool) {
	switch {
	case len(b) == 0:
		return c.zone, true
	case len(b) == 1 && b[0] == 'Z':
		return time.UTC, true
	case b[0] != '+' && b[0] != '-':
		return nil, false
	}
	digits := bytes.ReplaceAll(b[1:], []byte(":"), nil)
	if len(digits) == 2 {
		digits = append(digits, '0', '0')
	}
	if len(digits) != 4 || !isDigits(digits) {
		return nil, false
	}
	offset := atoi(digits[:2])*3600 + atoi(digits[2:])*60
	if b[0] == '-' {
		offset = -offset
	}
	if offset == 0 {
		return time.UTC, true
	}
	return time.FixedZone("", offset), true
}

// readUnix reads seconds since 1970 with a fraction.
func (c *clock) readUnix(b []byte) time.Time {
	point := bytes.IndexByte(b, '.')
	if point < 0 {
		return time.Time{}
	}
	sec, err := strconv.ParseInt(string(b[:point]), 10, 64)
	if err != nil || sec > 1<<40 {
		return time.Time{}
	}
	return time.Unix(sec, int64(fraction(b[point+1:]))).In(c.zone)
}

// readMicros reads microseconds since 1970.
func (c *clock) readMicros(b []byte) time.Time {
	usec, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || usec <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(usec).In(c.zone)
}

// readFull reads "2026-11-27 14:00:01 UTC". The name of a zone that is not ours
// tells nothing.
func (c *clock) readFull(b []byte) time.Time {
	space := bytes.LastIndexByte(b, ' ')
	if space < 19 || !isISO(b) {
		return time.Time{}
	}
	nsec := 0
	if b[19] == '.' {
		nsec = fraction(b[20:space])
	}
	name := string(b[space+1:])
	if name == "UTC" || name == "GMT" {
		return civil(b, nsec, time.UTC)
	}
	t := civil(b, nsec, c.zone)
	if got, _ := t.Zone(); got == name {
		return t
	}
	// the hour that a change of summer time has twice, or a numeric zone
	if got, _ := t.Add(time.Hour).Zone(); got == name {
		return t.Add(time.Hour)
	}
	if zone, ok := c.zoneOf(b[space+1:]); ok {
		return civil(b, nsec, zone)
	}
	return time.Time{}
}

// readCtime reads "Fri Nov 27 14:00:01 2026", English names only.
func (c *clock) readCtime(b []byte) time.Time {
	if len(b) < 24 {
		return time.Time{}
	}
	month, day := monthOf(b[4:]), atoi(b[8:10])
	if month == 0 || !isClock(b[11:]) {
		return time.Time{}
	}
	t := time.Date(atoi(b[20:24]), month, day, atoi(b[11:13]), atoi(b[14:16]), atoi(b[17:19]), 0, c.zone)
	if t.Day() != day {
		return time.Time{}
	}
	return t
}

// monthOf is the month that b begins with, 0 for none.
func monthOf(b []byte) time.Month {
	switch uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) {
	case 'J'<<16 | 'a'<<8 | 'n':
		return time.January
	case 'F'<<16 | 'e'<<8 | 'b':
		return time.February
	case 'M'<<16 | 'a'<<8 | 'r':
		return time.March
	case 'A'<<16 | 'p'<<8 | 'r':
		return time.April
	case 'M'<<16 | 'a'<<8 | 'y':
		return time.May
	case 'J'<<16 | 'u'<<8 | 'n':
		return time.June
	case 'J'<<16 | 'u'<<8 | 'l':
		return time.July
	case 'A'<<16 | 'u'<<8 | 'g':
		return time.August
	case 'S'<<16 | 'e'<<8 | 'p':
		return time.September
	case 'O'<<16 | 'c'<<8 | 't':
		return time.October
	case 'N'<<16 | 'o'<<8 | 'v':
		return time.November
	case 'D'<<16 | 'e'<<8 | 'c':
		return time.December
	}
	return 0
}

// atoi reads digits, blanks before them; what is no digit counts as nothing.
func atoi(b []byte) (n int) {
	for _, c := range b {
		if '0' <= c && c <= '9' {
			n = n*10 + int(c-'0')
		}
	}
	return n
}

// fraction is digits behind a point, in nanoseconds.
func fraction(b []byte) (nsec int) {
	for i := range 9 {
		nsec *= 10
		if i < len(b) && '0' <= b[i] && b[i] <= '9' {
			nsec += int(b[i] - '0')
		}
	}
	return nsec
}
