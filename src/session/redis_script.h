/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_script.h - what the server does in one piece: the scripts of redis_wire.h, as text.
 *
 * A merge has many sessions at once, all of one slot: KEYS are the sessions, then their tombstones
 * in the same order, and what is said in return has one value for each. The others have one: KEYS
 * are the session and its tombstone. Lists of sessions are in the same slot, and named by the
 * script. What is said of a session begins with a number, or is that number: 0 merged, 1 ended, 2
 * moved on, 3 vanished; of a read, 0 nothing, 1 ended, 2 found.
 *
 * What takes time is what is called and what is made: so the tombstones are asked for at once, a
 * session's times are one field, and what its writer had written last is compared as one text.
 */
#pragma once

/* What all of them begin with: the server's time in ms; the times of a session, all 0 where they
 * are none; what an origin has counted. */
#define SCRIPT_COMMON                                                                              \
    "local w=redis.call('TIME') local now=w[1]*1000+math.floor(w[2]/1000)\n"                       \
    "local call,pcl,unpk,TIMES=redis.call,redis.pcall,cmsgpack.unpack,'>I6I6I6I6I4I2I2I2'\n"       \
    "local function num(v) v=tonumber(v or 0)\n"                                                   \
    " if v and v>=0 and v<9e15 then return v end return 0 end\n"                                   \
    "local function times(v)\n"                                                                    \
    " if v and #v==34 then return struct.unpack(TIMES,v) end return 0,0,0,0,0,0,0,0 end\n"         \
    "local function counts(v) local r,e=string.match(v or '','^(%d+) (%d+)$')\n"                   \
    " return num(r),num(e) end\n"                                                                  \
    "local function most(a,b) if a>b then return a end return b end\n"                             \
    "local function ended(T,t) return {1,t,most(call('PTTL',T),1)} end\n"

/* The list that a session of that user is in. Lists have an id of the session each, and a score:
 * the span of time in which it ends, then ten bits of each code. A list is trimmed, and kept for
 * longer, where it would not live as long as the session does. Whatever is no list is deleted, and
 * said. */
#define SCRIPT_LISTS                                                                               \
    "local Q,floor,fmt,spoilt=1024000,math.floor,string.format,0\n"                                \
    "local function list(S,id,u) if u==0 then u=string.byte(id,16)*2048 end\n"                     \
    " return fmt('%s:i:%s%02x',string.sub(S,1,-42),string.sub(S,-38,-33),floor(u/2048)%32) end\n"  \
    "local function spoils(z,I) if type(z)~='table' or not z.err then return false end\n"          \
    " if string.find(z.err,'WRONGTYPE',1,true) then call('DEL',I) spoilt=spoilt+1 end\n"           \
    " return true end\n"                                                                           \
    "local function score(ms) return floor(ms/Q)*1073741824 end\n"                                 \
    "local function enter(S,id,ex,u,a,k) local I,left=list(S,id,u),ex-now+Q\n"                     \
    " local at=fmt('%.0f',score(ex)+u%1024*1048576+a%1024*1024+k%1024)\n"                          \
    " if spoils(pcl('ZADD',I,at,id),I) then call('ZADD',I,at,id) end\n"                            \
    " if call('PTTL',I)<left then\n"                                                               \
    "  call('ZREMRANGEBYSCORE',I,'-inf',fmt('(%.0f',score(now)))\n"                                \
    "  call('PEXPIRE',I,fmt('%.0f',left+Q)) end return I end\n"

/* Of one session: its tombstone, where whatever is no text goes. */
#define SCRIPT_ONE                                                                                 \
    SCRIPT_COMMON                                                                                  \
    "local S,T=KEYS[1],KEYS[2]\n"                                                                  \
    "local t=pcl('GET',T) if type(t)=='table' then call('DEL',T) t=false end\n"

/* ARGV: origin, slack, then for each session, in MessagePack: known, left, idle, age, "requests
 * errors", place, epoch, bound, id, codes of user, account and key, names with the signatures of
 * values (again in MessagePack), and the names and values of what has a last writer. A value's
 * signature is the value; of one longer than 16 bytes the beginning of its SHA-1. */
#define SCRIPT_MERGE                                                                               \
    SCRIPT_COMMON                                                                                  \
    SCRIPT_LISTS                                                                                   \
    "local n,R,O,slack=#KEYS/2,'r'..ARGV[1],'o'..ARGV[1],ARGV[2]+0\n"                              \
    "local hit={}\n"                                                                               \
    "local function changed(S,old,sigs,...) hit={}\n"                                              \
    " local o,is,new,was,f,k={pcall(unpk,old)},{unpk(sigs)},{...},{},{},0\n"                       \
    " for i=2,#o,2 do if type(o[i])=='string' then was[o[i]]=o[i+1] end end\n"                     \
    " for i=1,#new,2 do local n=new[i]\n"                                                          \
    "  if was[n]~=is[i+1] then f[k+1]=n f[k+2]=new[i+1] k=k+2 hit[n]=1 end was[n]=nil end\n"       \
    " for n in pairs(was) do call('HDEL',S,n) hit[n]=1 end\n"                                      \
    " return f end\n"                                                                              \
    "local function merge(S,known,left,idle,age,count,place,epoch,bound,id,cu,ca,ck,sigs,...)\n"   \
    " local c,healed=pcl('HMGET',S,'t','pl',R,O),false\n"                                          \
    " if c.err then call('DEL',S) healed=true c={} end\n"                                          \
    " local m,pl,r,o=c[1],c[2],c[3],c[4]\n"                                                        \
    " if not m and known==1 and not healed then return 3 end\n"                                    \
    " local ex,la,cr,pu,pe,u,a,k=times(m)\n"                                                       \
    " if cr==0 then cr,u,a,k=most(now-age,0),cu,ca,ck end\n"                                       \
    " local verdict,was,moved,bu,ba,bk,f=0,ex,nil,u,a,k,nil\n"                                     \
    " ex,la=most(ex,now+left),most(la,now-idle)\n"                                                 \
    " if epoch>pe then moved,pe,pu=place,epoch,now+bound\n"                                        \
    " elseif epoch==pe and place=='' then\n"                                                       \
    " elseif epoch==pe and place==pl then pu=most(pu,now+bound)\n"                                 \
    " else verdict={2,pl or '',pe,most(pu-now,0)} end\n"                                           \
    " if r and r~=count then local x,y=counts(r) local c,d=counts(count)\n"                        \
    "  count=fmt('%d %d',most(x,c),most(y,d)) end\n"                                               \
    " if o and o~=sigs then f=changed(S,o,sigs,...)\n"                                             \
    "  if hit.u then u=cu end if hit.a then a=ca end if hit.k then k=ck end\n"                     \
    " elseif not o then if cu>0 then u=cu end if ca>0 then a=ca end if ck>0 then k=ck end end\n"   \
    " if known==0 or floor(ex/Q)~=floor(was/Q) or u~=bu or a~=ba or k~=bk then\n"                  \
    "  local I=enter(S,id,ex,u,a,k)\n"                                                             \
    "  if u~=bu and m then local B=list(S,id,bu) if B~=I then pcl('ZREM',B,id) end end end\n"      \
    " local at=struct.pack(TIMES,ex,la,cr,pu,pe,u,a,k)\n"                                          \
    " if o==sigs then call('HSET',S,'t',at,R,count)\n"                                             \
    " elseif o then call('HSET',S,'t',at,R,count,O,sigs,unpack(f))\n"                              \
    " else call('HSET',S,'t',at,R,count,O,sigs,...) end\n"                                         \
    " if moved then call('HSET',S,'pl',moved) end\n"                                               \
    " if ex>was then call('PEXPIREAT',S,ex+slack) end\n"                                           \
    " return verdict end\n"                                                                        \
    "local t,said=call('MGET',unpack(KEYS,n+1)),{}\n"                                              \
    "for i=1,n do if t[i] then said[i]=ended(KEYS[n+i],t[i])\n"                                    \
    " else said[i]=merge(KEYS[i],unpk(ARGV[i+2])) end end\n"                                       \
    "if spoilt>0 then said[n+1]=spoilt end\n"                                                      \
    "return said\n"

/* ARGV: where it went or "", for how long, slack, id. Kept as long as somebody might have the
 * session.
 */
#define SCRIPT_BURY                                                                                \
    SCRIPT_ONE                                                                                     \
    SCRIPT_LISTS                                                                                   \
    "local x=pcl('HGET',S,'t') if type(x)=='table' then x=false end\n"                             \
    "local _,_,_,_,_,u=times(x) pcl('ZREM',list(S,ARGV[4],u),ARGV[4])\n"                           \
    "call('DEL',S)\n"                                                                              \
    "local left=most(num(ARGV[2]),times(x)-now)+ARGV[3]\n"                                         \
    "if t then left=most(left,call('PTTL',T)) end\n"                                               \
    "local to=ARGV[1] if to=='' and t then to=t end\n"                                             \
    "call('SET',T,to,'PX',string.format('%d',left))\n"                                             \
    "return {0}\n"

/* ARGV: origin. Who reads has what is there, and changes from there on. */
#define SCRIPT_READ                                                                                \
    SCRIPT_ONE                                                                                     \
    "if t then return ended(T,t) end\n"                                                            \
    "local h=pcl('HGETALL',S) if h.err then return {0} end\n"                                      \
    "local m={} for i=1,#h,2 do m[h[i]]=h[i+1] end\n"                                              \
    "local ex,la,cr,pu,pe=times(m.t)\n"                                                            \
    "if ex<=now then return {0} end\n"                                                             \
    "local r,e=counts(m['r'..ARGV[1]])\n"                                                          \
    "local a={2,ex-now,most(now-cr,0),most(now-la,0),m.pl or '',pe,most(pu-now,0)}\n"              \
    "a[8],a[9]=r,e\n"                                                                              \
    "local o={}\n"                                                                                 \
    "for i=1,#h,2 do local n,v=h[i],h[i+1]\n"                                                      \
    " if n=='u' or n=='a' or n=='k' or n=='st' or string.sub(n,1,1)=='@' then\n"                   \
    "  a[#a+1]=n a[#a+1]=v if #v>16 then v=string.sub(redis.sha1hex(v),1,20) end\n"                \
    "  o[#o+1]=cmsgpack.pack(n,v) end end\n"                                                       \
    "call('HSET',S,'o'..ARGV[1],table.concat(o))\n"                                                \
    "return a\n"

/* KEYS: lists. ARGV: how many of the first are passed over, rows at most, codes or -1, user,
 * account, key, status, place, where "" is any. What is said: lists done, entries of the next one
 * that are, lists that were none; then of each row list, entry, id, left, age, idle, place, epoch,
 * bound, requests and errors of all origins, status, user, account, key. Rows are what sessions
 * say; what has none is taken from its list. It ends after some 4000 entries, of which a session
 * that is read counts as twenty more: 3 ms in which the Redis serves nobody else. */
#define SCRIPT_FIND                                                                                \
    SCRIPT_COMMON                                                                                  \
    SCRIPT_LISTS                                                                                   \
    "local from,top,cu,ca,ck=ARGV[1]+0,ARGV[2]+0,ARGV[3]+0,ARGV[4]+0,ARGV[5]+0\n"                  \
    "local want={u=ARGV[6],a=ARGV[7],k=ARGV[8],st=ARGV[9],pl=ARGV[10]}\n"                          \
    "local said,rows,left={},0,4096\n"                                                             \
    "local function hex(c) return fmt('%02x',string.byte(c)) end\n"                                \
    "local function row(I,id,n,at)\n"                                                              \
    " local S=string.sub(I,1,-12)..':s:'..string.sub(I,-8,-3)..string.gsub(id,'.',hex)\n"          \
    " left=left-20 local h=pcl('HGETALL',S) if h.err then return true end\n"                       \
    " if #h==0 then call('ZREM',I,id) return false end\n"                                          \
    " local m,r,e={},0,0\n"                                                                        \
    " for i=1,#h,2 do m[h[i]]=h[i+1] if string.sub(h[i],1,1)=='r' then\n"                          \
    "  local x,y=counts(h[i+1]) r,e=r+x,e+y end end\n"                                             \
    " local ex,la,cr,pu,pe=times(m.t) if ex<=now then return true end\n"                           \
    " local pl='' if pu>now then pl=m.pl or '' end\n"                                              \
    " for f,v in pairs(want) do\n"                                                                 \
    "  local is=m[f] or '' if f=='pl' then is=pl end\n"                                            \
    "  if v~='' and v~=is then return true end end\n"                                              \
    " for _,v in ipairs({n,at,id,ex-now,most(now-cr,0),most(now-la,0),pl,pe,\n"                    \
    "  most(pu-now,0),r,e,m.st or '',m.u or '',m.a or '',m.k or ''}) do said[#said+1]=v end\n"     \
    " rows=rows+1 return true end\n"                                                               \
    "local function fits(s,code,unit)\n"                                                           \
    " return code<0 or floor(s/unit)%1024==code end\n"                                             \
    "local n=0\n"                                                                                  \
    "while n<#KEYS and rows<top and left>0 do\n"                                                   \
    " local I,at=KEYS[n+1],from local z=pcl('ZRANGE',I,at,at+127,'WITHSCORES')\n"                  \
    " if spoils(z,I) then z=call('ZRANGE',I,at,at+127,'WITHSCORES') end\n"                         \
    " local i=1 while i<#z and rows<top do\n"                                                      \
    "  local s,is=tonumber(z[i+1]),true\n"                                                         \
    "  if #z[i]==16 and fits(s,cu,1048576) and fits(s,ca,1024) and fits(s,ck,1) then\n"            \
    "   is=row(I,z[i],n,from) end\n"                                                               \
    "  if is then from=from+1 end i=i+2 end\n"                                                     \
    " left=left-#z/2-8\n"                                                                          \
    " if i>#z and #z<256 then n=n+1 from=0 end end\n"                                              \
    "return {n,from,spoilt,unpack(said)}\n"

/* KEYS: the limit. ARGV: holder, number of the question, held, wanted, at most, limit, ttl in us,
 * then of the rate: interval and tolerance in ns, tokens wanted. Of each holder there is a field:
 * "held wanted until number"; `t` is when the next token would be due if all came evenly (us). What
 * is said: granted, whether somebody is short, holders, tokens, when the next one is due (ms),
 * whether what was held is not known here (then no more is granted); or less than 0, for what comes
 * late. What is said twice is noted as if it were said once. */
#define SCRIPT_LEASE                                                                               \
    SCRIPT_COMMON                                                                                  \
    "local K,me,seq,held,wish=KEYS[1],ARGV[1],ARGV[2]+0,ARGV[3]+0,ARGV[4]+0\n"                     \
    "local top,limit,ttl,int,tol=ARGV[5]+0,ARGV[6]+0,ARGV[7]+0,ARGV[8]/1000,ARGV[9]/1000\n"        \
    "local us,floor,ask,lost=w[1]*1000000+w[2],math.floor,ARGV[10]+0,0\n"                          \
    "if held>0 then lost=1 end\n"                                                                  \
    "local h=pcl('HGETALL',K) if h.err then call('DEL',K) h={} end\n"                              \
    "local others,holders,short,tat,want,all=0,1,0,0,wish,{}\n"                                    \
    "if wish>0 then all[1]={me,wish} end\n"                                                        \
    "for i=1,#h,2 do local f,v=h[i],h[i+1]\n"                                                      \
    " local p,n,x,s=string.match(v,'^(%d+) (%d+) (%d+) (%d+)$')\n"                                 \
    " p,n,x,s=num(p),num(n),num(x),num(s)\n"                                                       \
    " if f=='t' then tat=num(v)\n"                                                                 \
    " elseif f==me then lost=0 if s>seq then return {-1} end\n"                                    \
    "  if s==seq then held=most(held,p) end\n"                                                     \
    " elseif x<=us then call('HDEL',K,f)\n"                                                        \
    " else others,holders=others+p,holders+1\n"                                                    \
    "  if n>p then short=1 end\n"                                                                  \
    "  if n>0 then want=want+n all[#all+1]={f,n} end end end\n"                                    \
    "local to=0\n"                                                                                 \
    "if wish>0 and want<=limit then to=wish+floor((limit-want)/#all)\n"                            \
    "elseif wish>0 then\n"                                                                         \
    " table.sort(all,function(a,b) return a[2]<b[2] or (a[2]==b[2] and a[1]<b[1]) end)\n"          \
    " local left,n,at=limit,#all,1\n"                                                              \
    " while all[at][2]*n<=left do left=left-all[at][2] n=n-1 at=at+1 end\n"                        \
    " to=floor(left/n)\n"                                                                          \
    " local rest,rank,mine=left-to*n,0,false\n"                                                    \
    " for i=at,#all do if all[i][1]==me then mine=true\n"                                          \
    "  elseif all[i][1]<me then rank=rank+1 end end\n"                                             \
    " if not mine then to=wish elseif (rank+w[1])%n<rest then to=to+1 end end\n"                   \
    "if lost==1 then top=math.min(top,held) end\n"                                                 \
    "local got=most(math.min(to,limit-others,top),0)\n"                                            \
    "if wish>got then short=1 end\n"                                                               \
    "local k,early=0,0\n"                                                                          \
    "if ask>0 then\n"                                                                              \
    " local from=most(math.min(tat,us+tol+int),us)\n"                                              \
    " k=most(math.min(floor((us+tol-from)/int+0.001)+1,ask),0)\n"                                  \
    " if k>0 then tat=from+k*int call('HSET',K,'t',string.format('%.3f',tat)) end\n"               \
    " if k<ask then early=most(math.ceil((from+k*int-us-tol)/1000),1) end end\n"                   \
    "held=most(held,got)\n"                                                                        \
    "if held==0 and wish==0 then call('HDEL',K,me)\n"                                              \
    "else call('HSET',K,me,string.format('%d %d %.0f %.0f',held,wish,us+ttl,seq)) end\n"           \
    "call('PEXPIRE',K,string.format('%.0f',most(ttl,tat-us)/1000+1))\n"                            \
    "return {got,short,holders,k,early,lost}\n"
