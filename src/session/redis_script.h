/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_script.h - what the server does in one piece: the scripts of redis_wire.h, as text.
 *
 * KEYS are the session and its tombstone, in one slot. What is said in return begins with a number:
 * 0 merged, 1 ended, 2 moved on, 3 vanished; of a read, 0 nothing, 1 ended, 2 found.
 */
#pragma once

/* What all of them begin with: the server's time in ms; numbers without an exponent; the session's
 * hash fields, where whatever is no hash goes; the tombstone, where whatever is no text goes. */
#define SCRIPT_COMMON                                                                              \
    "local w=redis.call('TIME') local now=w[1]*1000+math.floor(w[2]/1000)\n"                       \
    "local function int(v) return string.format('%d',v) end\n"                                     \
    "local function num(v) v=tonumber(v or 0)"                                                     \
    " if v and v>=0 and v<9e15 then return v end return 0 end\n"                                   \
    "local S,T=KEYS[1],KEYS[2] local healed=false\n"                                               \
    "local function heal(k) redis.call('DEL',k) healed=true end\n"                                 \
    "local t=redis.pcall('GET',T) if type(t)=='table' then heal(T) t=false end\n"                  \
    "local function ended() return {1,t,math.max(redis.call('PTTL',T),1)} end\n"                   \
    "local function sig(v) if #v<=16 then return '='..v end"                                       \
    " return '#'..string.sub(redis.sha1hex(v),1,8) end\n"                                          \
    "local function signed(v) local ok,m=pcall(cmsgpack.unpack,v or '')"                           \
    " if ok and type(m)=='table' then return m end return {} end\n"

/* ARGV: origin, known, left, idle, age, slack, requests, errors, place, epoch, bound, then names
 * and values of what has a last writer. */
#define SCRIPT_MERGE                                                                               \
    SCRIPT_COMMON                                                                                  \
    "if t then return ended() end\n"                                                               \
    "local R,O='r'..ARGV[1],'o'..ARGV[1]\n"                                                        \
    "local function load() return redis.pcall('HMGET',S,'ex','la','pl','pe','pu',R,O) end\n"       \
    "local c=load() if c.err then heal(S) c=load() end\n"                                          \
    "if not c[1] and ARGV[2]=='1' and not healed then return {3} end\n"                            \
    "local f={} local function set(n,v) f[#f+1]=n f[#f+1]=v end\n"                                 \
    "local ex=math.max(num(c[1]),now+ARGV[3]) set('ex',int(ex))\n"                                 \
    "if num(c[2])<now-ARGV[4] then set('la',int(now-ARGV[4])) end\n"                               \
    "if not c[1] then set('cr',int(now-ARGV[5])) end\n"                                            \
    "local r,e=string.match(c[6] or '','^(%d+) (%d+)$')\n"                                         \
    "set(R,int(math.max(num(r),ARGV[7]))..' '..int(math.max(num(e),ARGV[8])))\n"                   \
    "local verdict={0}\n"                                                                          \
    "local pe,epoch,pu=num(c[4]),num(ARGV[10]),now+ARGV[11]\n"                                     \
    "if epoch>pe then set('pl',ARGV[9]) set('pe',ARGV[10]) set('pu',int(pu))\n"                    \
    "elseif epoch==pe and ARGV[9]=='' then\n"                                                      \
    "elseif epoch==pe and ARGV[9]==c[3] then if pu>num(c[5]) then set('pu',int(pu)) end\n"         \
    "else verdict={2,c[3] or '',int(pe),int(math.max(num(c[5])-now,0))} end\n"                     \
    "local old,new,seen=signed(c[7]),{},{} local changed=not c[7]\n"                               \
    "for i=12,#ARGV,2 do local n,v=ARGV[i],ARGV[i+1] local s=sig(v) new[n]=s\n"                    \
    " if old[n]~=s then set(n,v) changed=true end end\n"                                           \
    "for n in pairs(old) do if not new[n] then redis.call('HDEL',S,n) changed=true end end\n"      \
    "if changed then set(O,cmsgpack.pack(new)) end\n"                                              \
    "redis.call('HSET',S,unpack(f))\n"                                                             \
    "if ex>num(c[1]) then redis.call('PEXPIREAT',S,int(ex+ARGV[6])) end\n"                         \
    "return verdict\n"

/* ARGV: where it went or "", for how long, slack. Kept as long as somebody might have the session.
 */
#define SCRIPT_BURY                                                                                \
    SCRIPT_COMMON                                                                                  \
    "local x=redis.pcall('HGET',S,'ex') if type(x)=='table' then x=0 end\n"                        \
    "redis.call('DEL',S)\n"                                                                        \
    "local left=math.max(num(ARGV[2]),num(x)-now)+ARGV[3]\n"                                       \
    "if t then left=math.max(left,redis.call('PTTL',T)) end\n"                                     \
    "local to=ARGV[1] if to=='' and t then to=t end\n"                                             \
    "redis.call('SET',T,to,'PX',int(left))\n"                                                      \
    "return {0}\n"

/* ARGV: origin. Who reads has what is there, and changes from there on. */
#define SCRIPT_READ                                                                                \
    SCRIPT_COMMON                                                                                  \
    "if t then return ended() end\n"                                                               \
    "local h=redis.pcall('HGETALL',S) if h.err then return {0} end\n"                              \
    "local m={} for i=1,#h,2 do m[h[i]]=h[i+1] end\n"                                              \
    "local left=num(m.ex)-now if left<=0 then return {0} end\n"                                    \
    "local r,e=string.match(m['r'..ARGV[1]] or '','^(%d+) (%d+)$')\n"                              \
    "local a={2,int(left),int(math.max(now-num(m.cr),0)),int(math.max(now-num(m.la),0)),\n"        \
    " m.pl or '',int(num(m.pe)),int(math.max(num(m.pu)-now,0)),int(num(r)),int(num(e))}\n"         \
    "local new={}\n"                                                                               \
    "for n,v in pairs(m) do if n=='u' or n=='a' or n=='k' or n=='st' or string.sub(n,1,1)=='@'\n"  \
    " then a[#a+1]=n a[#a+1]=v new[n]=sig(v) end end\n"                                            \
    "redis.call('HSET',S,'o'..ARGV[1],cmsgpack.pack(new))\n"                                       \
    "return a\n"
