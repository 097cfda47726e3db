/* text/number_text.h: text to floating point in the "C" locale, whatever locale the program has
 * set. */
#ifndef CM_TEXT_NUMBER_TEXT_H
#define CM_TEXT_NUMBER_TEXT_H

/* The nearest double or float; text is a valid JSON number. Too large is infinity, too small
 * zero. */
double cm_strtod(const char *text);
float cm_strtof(const char *text);

#endif
